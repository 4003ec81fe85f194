// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// backend is a server at a port of a tenant's pod, by TCP and UDP, in both families. Its answers
// have its name, which no other backend of the run has.
type backend struct {
	name string
	port int32
	stop context.CancelFunc
}

// The names of headers in responses.
const (
	nameHeader  = "Chaos-Backend"
	nonceHeader = "Chaos-Nonce"
	pathHeader  = "Chaos-Path"
)

// serve starts a backend.
func serve(ctx context.Context, pod *netlab.Namespace, name string, port int32) (*backend, error) {
	ctx, stop := context.WithCancel(ctx)
	b := &backend{name: name, port: port, stop: stop}
	address := net.JoinHostPort("", strconv.Itoa(int(port)))
	listener, err := pod.Listen(ctx, "tcp", address)
	if err != nil {
		stop()
		return nil, err
	}
	packets, err := pod.ListenPacket(ctx, "udp", address)
	if err != nil {
		stop()
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(b.answer), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() {
		_ = server.Close()
		_ = packets.Close()
	})
	go func() { _ = server.Serve(listener) }()
	go b.echo(packets)
	return b, nil
}

// answer returns the body with the name of the backend and the request.
func (b *backend) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set(nameHeader, b.name)
	w.Header().Set(nonceHeader, r.Header.Get(nonceHeader))
	w.Header().Set(pathHeader, r.URL.Path)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// echo responds to datagrams with the name of the backend and the hash of the request.
func (b *backend) echo(packets net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = packets.WriteTo([]byte(b.name+" "+digest(buffer[:n])), from)
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// readEcho returns who answered a datagram, and whether it was the answer to that.
func readEcho(answer, asked []byte) (name string, intact bool, err error) {
	name, sum, ok := strings.Cut(string(answer), " ")
	if !ok {
		return "", false, fmt.Errorf("a datagram that no backend sends: %q", answer)
	}
	return name, sum == digest(asked), nil
}
