// Says who it is and whether it can write to its root.
package main

import (
	"fmt"
	"os"
)

func main() {
	root := "writable"
	if os.WriteFile("/written", nil, 0o600) != nil {
		root = "read-only"
	}
	fmt.Printf("%s uid=%d gid=%d root=%s\n", os.Args[0], os.Getuid(), os.Getgid(), root)
	os.Exit(7)
}
