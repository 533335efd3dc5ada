// An ordinary net/http program served through net/http/cgi: nothing in it knows of WebAssembly.
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/cgi"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from Go, %s %s\n", r.Method, r.URL.Path)
	})
	if err := cgi.Serve(nil); err != nil {
		log.Fatal(err)
	}
}
