// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// A wire carries, stalls, carries what has waited, and is cut for all.
func TestWire(t *testing.T) {
	ctx := t.Context()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	w, err := New(ctx, nil, "127.0.0.1:0", To(server.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	dial := To(w.Address())
	conn, err := dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	echo := func(within time.Duration) (string, error) {
		if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
			return "", err
		}
		b := make([]byte, 10)
		n, err := conn.Read(b)
		return string(b[:n]), err
	}
	send := func(text string) {
		t.Helper()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	send("one")
	if got, err := echo(time.Minute); got != "one" {
		t.Fatalf("%q, %v", got, err)
	}
	w.Set(Stalled, 0)
	send("two")
	if got, err := echo(200 * time.Millisecond); err == nil {
		t.Fatalf("%q comes through a wire that stands still", got)
	}
	w.Set(Open, time.Millisecond)
	if got, err := echo(time.Minute); got != "two" {
		t.Fatalf("%q, %v", got, err)
	}
	w.Set(Cut, 0)
	if got, err := echo(time.Minute); err == nil {
		t.Fatalf("%q comes through a wire that is cut", got)
	}
	again, err := dial(ctx)
	if err == nil {
		defer again.Close()
		if _, err := io.ReadAll(again); err == nil {
			// The end of the stream is what a cut wire gives.
			_ = err
		}
	}
	w.Set(Open, 0)
	if conn, err = dial(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send("three")
	if got, err := echo(time.Minute); got != "three" {
		t.Fatalf("%q, %v", got, err)
	}
}
