// {{name}} answers each request with a greeting. It is an ordinary net/http program: net/http/cgi takes
// the request from the environment and standard input. Standard error is the function's log.
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s", r.Method, r.URL.Path)
		fmt.Fprintf(w, "%s from {{name}}\n", os.Getenv("GREETING"))
	})
	if err := cgi.Serve(nil); err != nil {
		log.Fatal(err)
	}
}
