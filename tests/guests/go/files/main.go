// Reads the files below "/" as Go does it; tests/api/test_wasi.py gives them.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

func must(what string, ok bool) {
	if !ok {
		fmt.Println("no:", what)
		os.Exit(1)
	}
}

func main() {
	text, err := os.ReadFile("/index.html")
	must("read a file", err == nil && string(text) == "<p>hello</p>\n")
	root, err := os.ReadDir("/")
	must("list the root", err == nil && len(root) == 4 && root[1].Name() == "folder" && root[1].IsDir())
	many, err := os.ReadDir("/folder")
	must("list a folder", err == nil && len(many) == 300)

	file, err := os.Open("large")
	must("open", err == nil)
	info, err := file.Stat()
	must("stat", err == nil && info.Size() == 1000000 && info.Mode().IsRegular())
	_, err = file.Seek(-5, io.SeekEnd)
	must("seek", err == nil)
	rest, err := io.ReadAll(file)
	must("read the end", err == nil && len(rest) == 5)
	at := make([]byte, 3)
	n, err := file.ReadAt(at, 250)
	must("read at", err == nil && n == 3 && at[0] == 250 && at[1] == 0)

	found := 0
	fs.WalkDir(os.DirFS("/"), ".", func(path string, d fs.DirEntry, err error) error {
		found++
		return err
	})
	must("walk", found == 305)
	_, err = os.Create("/new")
	must("not create", errors.Is(err, syscall.EROFS))
	must("not make a folder", errors.Is(os.Mkdir("/new", 0o700), syscall.EROFS))
	_, err = os.Open("/none")
	must("not find", errors.Is(err, fs.ErrNotExist))
	fmt.Println("files ok")
}
