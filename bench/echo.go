// SPDX-License-Identifier: MIT
package main

import (
	"fmt"
	"io"
	"net"
	"sort"
	"strings"
	"time"
)

const (
	conns   = 100
	seconds = 2
)

func serve(c net.Conn) {
	buf := make([]byte, 65536)
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	out := make(chan []float64, conns)
	start := time.Now()
	stop := start.Add(seconds * time.Second)
	for i := 0; i < conns; i++ {
		go func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				panic(err)
			}
			message, reply, times := []byte(strings.Repeat("x", 64)), make([]byte, 64), []float64{}
			before := time.Now()
			for before.Before(stop) {
				if _, err := c.Write(message); err != nil {
					panic(err)
				}
				if _, err := io.ReadFull(c, reply); err != nil {
					panic(err)
				}
				after := time.Now()
				times = append(times, float64(after.Sub(before).Nanoseconds())/1000)
				before = after
			}
			out <- times
		}()
	}
	all := []float64{}
	for i := 0; i < conns; i++ {
		all = append(all, <-out...)
	}
	taken := time.Since(start).Seconds()
	sort.Float64s(all)
	fmt.Printf("echo %.0f persec\n", float64(len(all))/taken)
	fmt.Printf("echo_p99 %.0f us\n", all[len(all)*99/100])
}
