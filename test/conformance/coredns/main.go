// SPDX-License-Identifier: Apache-2.0

// Command coredns stands for the suite's CoreDNS with its plugin whoami: it answers every
// query on UDP port 53 with the address that asked.
package main

import (
	"log"
	"net"

	"github.com/miekg/dns"
)

func main() {
	dns.HandleFunc(".", func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(query)
		host, _, err := net.SplitHostPort(w.RemoteAddr().String())
		if ip := net.ParseIP(host).To4(); err == nil && ip != nil && len(query.Question) == 1 {
			answer.Extra = append(answer.Extra, &dns.A{Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: ip})
		}
		if err := w.WriteMsg(answer); err != nil {
			log.Print(err)
		}
	})
	log.Fatal((&dns.Server{Addr: ":53", Net: "udp"}).ListenAndServe())
}
