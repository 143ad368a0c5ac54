// SPDX-License-Identifier: MIT
package main

import "os"

const flags = os.O_CREATE | os.O_EXCL | os.O_WRONLY

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func drop(spool, name, data string) {
	file, err := os.OpenFile(spool+"/tmp/"+name, flags, 0o640)
	must(err)
	must(file.Chmod(0o640))
	_, err = file.WriteString(data)
	must(err)
	must(file.Sync())
	must(os.Rename(spool+"/tmp/"+name, spool+"/incoming/"+name))
	must(file.Sync())
	must(file.Close())
}

func main() {
	drop(os.Args[1], "from-go.job", "Handler: greet\nArg: Ann\n\n")
	drop(os.Args[1], "from-go.txt", "a few words\n")
}
