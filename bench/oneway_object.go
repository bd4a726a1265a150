// SPDX-License-Identifier: MIT

// oneway_object: as oneway, but each message is an object with methods. Go would send the reference; to compare like with like it is
// copied by hand before it is sent, and called through an interface.
package main

import (
	"fmt"
	"time"
)

const messages = 500000

type account struct{ id, balance int }

func (a *account) add(n int) { a.balance += n }
func (a *account) get() int  { return a.balance }

type keeper interface {
	add(n int)
	get() int
}

func main() {
	pipe, done := make(chan keeper, 128), make(chan int)
	start := time.Now()
	go func() {
		for i := 1; i <= messages; i++ {
			a := &account{id: i}
			fresh := *a
			pipe <- &fresh
		}
		close(pipe)
	}()
	go func() {
		sum := 0
		for k := range pipe {
			k.add(k.(*account).id)
			sum += k.get()
		}
		done <- sum
	}()
	sum := <-done
	took := time.Since(start)
	if sum != messages*(messages+1)/2 {
		panic("messages were lost")
	}
	fmt.Printf("oneway_object %.1f ns\n", float64(took.Nanoseconds())/messages)
}
