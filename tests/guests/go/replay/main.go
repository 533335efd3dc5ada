// As cwa/replay.c, in plain Go.
package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	fmt.Print("Content-Type: text/plain\n\n")
	body, _ := io.ReadAll(os.Stdin)
	began := time.Now()
	random := make([]byte, 16)
	rand.Read(random)
	time.Sleep(2 * time.Millisecond)
	fmt.Printf("body %d\ntime %d %d\nrandom %x\n", len(body), began.UnixNano(), time.Since(began), random)
	for name := range map[string]int{"a": 1, "b": 2, "c": 3, "d": 4} { // in random order
		fmt.Println(name)
	}
	url, _, _ := strings.Cut(string(body), "\n")
	file, err := os.Open("/net/" + strings.Replace(url, "://", "/", 1))
	if err != nil {
		fmt.Println("not opened:", err)
		os.Exit(3)
	}
	answer, _ := io.ReadAll(file)
	fmt.Printf("answer %s\n", answer)
}
