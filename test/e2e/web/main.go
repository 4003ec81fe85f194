// SPDX-License-Identifier: Apache-2.0

// Command web is the program that the tests run in pods: a tenant's server, which
// responds with the client's address, or with -forward a proxy, which forwards requests
// to another server. Each request has a separate connection, so a test sees each failure.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "the `ADDRESS` to serve at; it has to be this pod's")
	forward := flag.String("forward", "", "the `URL` of a server to ask")
	flag.Parse()
	handler := http.Handler(http.HandlerFunc(answer))
	if *forward != "" {
		to, err := url.Parse(*forward)
		if err != nil {
			log.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.Transport = &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 30 * time.Second}
		handler = proxy
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.Background()) })
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

// answer responds after the time given in the request's wait parameter.
func answer(w http.ResponseWriter, r *http.Request) {
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
		time.Sleep(min(wait, time.Minute))
	}
	name, err := os.Hostname()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s %s\n", name, r.RemoteAddr) //nolint:gosec // no browser reads it
}
