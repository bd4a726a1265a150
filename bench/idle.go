// SPDX-License-Identifier: MIT

// idle: resident memory, in the server, of a TCP connection that says nothing, with 10,000 of them; each has a goroutine that waits for what it says.
// Its buffer is 4 KB, as bufio's. The clients are this program again, with the address.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"
)

const count = 10000

var rss = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func resident() int {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	kilobytes, err := strconv.Atoi(string(rss.FindSubmatch(status)[1]))
	check(err)
	return kilobytes * 1024
}

func dial(address string) {
	conns := make([]net.Conn, count)
	for i := range conns {
		var err error
		conns[i], err = net.Dial("tcp", address)
		check(err)
	}
	io.Copy(io.Discard, os.Stdin) // until the server has gone
}

func serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err = c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) > 1 {
		dial(os.Args[1])
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	debug.FreeOSMemory()
	before := resident()
	clients := exec.Command(os.Args[0], l.Addr().String())
	in, err := clients.StdinPipe()
	check(err)
	check(clients.Start())
	for i := 0; i < count; i++ {
		c, err := l.Accept()
		check(err)
		go serve(c)
	}
	time.Sleep(500 * time.Millisecond) // they reach their reads
	fmt.Printf("idle %.0f bytes\n", float64(resident()-before)/count)
	in.Close()
	clients.Wait()
}
