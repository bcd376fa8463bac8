// Looks up a host, a port, and its user through the C library.
package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
)

// #include <unistd.h>
import "C"

func main() {
	hosts, err := net.LookupHost(os.Args[1])
	if err != nil {
		fmt.Println(err)
	}
	me, err := user.LookupId(fmt.Sprint(C.getuid()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("hosts=%v user=%s home=%s\n", hosts, me.Username, me.HomeDir)
}
