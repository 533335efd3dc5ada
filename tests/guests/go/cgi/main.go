// A net/http/cgi program that knows nothing of WebAssembly: echo, a form, its environment.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"time"
)

func main() {
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		io.Copy(w, r.Body)
	})
	http.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "name=%s\n", r.FormValue("name"))
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, os.Getenv(r.URL.RawQuery))
	})
	http.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		http.Error(w, "short and stout", http.StatusTeapot)
	})
	http.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		before := time.Now()
		time.Sleep(50 * time.Millisecond)
		fmt.Fprintln(w, time.Since(before) >= 50*time.Millisecond)
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s %s\n", r.Method, r.URL.Path)
	})
	if err := cgi.Serve(nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
