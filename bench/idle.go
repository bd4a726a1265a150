// SPDX-License-Identifier: MIT

// idle: resident memory of a connection that is served by a goroutine which waits for data. 9,000 of them; both ends are in this process, the other ends are just open.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"
)

const count = 9000

var rss = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

func resident() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	match := rss.FindSubmatch(status)
	if match == nil {
		panic("no VmRSS in /proc/self/status")
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		panic(err)
	}
	return kilobytes * 1024
}

var ready = make(chan bool)

func serve(c net.Conn) {
	buf := make([]byte, 4096)
	for {
		ready <- true
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	conns, reply := []net.Conn{}, make([]byte, 5)
	open := func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		conns = append(conns, c)
		s, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go serve(s)
		<-ready
		if _, err := c.Write([]byte("hello")); err != nil {
			panic(err)
		}
		<-ready
		if _, err := io.ReadFull(c, reply); err != nil {
			panic(err)
		}
	}
	for i := 0; i < 100; i++ {
		open()
	}
	debug.FreeOSMemory()
	before := resident()
	for i := 0; i < count; i++ {
		open()
	}
	debug.FreeOSMemory()
	time.Sleep(300 * time.Millisecond)
	fmt.Printf("idle %.0f bytes\n", float64(resident()-before)/count)
}
