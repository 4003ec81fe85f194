// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/bgpcommunity"
)

const (
	maxBGPPeers       = 64
	maxCommunities    = 32
	maxASN            = 1<<32 - 1
	maxMultihopTTL    = 255
	maxRestartSeconds = 1<<12 - 1
	minHoldSeconds    = 3
	maxHoldSeconds    = 1<<16 - 1
	maxPrefixes       = 100_000
	minBFDInterval    = 10
	maxBFDInterval    = 60_000
	// maxSelectors bounds the labels and the expressions of a selector.
	maxSelectors = 32
	// maxSessionMessage bounds the message of a node about a session.
	maxSessionMessage = 1024
)

// bgp checks how routes are announced.
func bgp(path *field.Path, b *epic.BGP) field.ErrorList {
	errs := asn(path.Child("asn"), b.ASN)
	if b.ListenPort != 0 {
		errs = append(errs, port(path.Child("listen-port"), b.ListenPort)...)
	}
	errs = append(errs, communities(path.Child("communities"), b.Communities)...)
	if b.GracefulRestartSeconds != nil {
		errs = append(errs, between(path.Child("graceful-restart-seconds"), *b.GracefulRestartSeconds, 0, maxRestartSeconds)...)
	}
	peers := path.Child("peers")
	if more := atMost(peers, len(b.Peers), maxBGPPeers); len(more) > 0 {
		return append(errs, more...)
	}
	names := map[string]bool{}
	for i := range b.Peers {
		if full(errs) {
			break
		}
		p := &b.Peers[i]
		if names[p.Name] {
			errs = append(errs, field.Duplicate(peers.Index(i).Child("name"), quoted(p.Name)))
		}
		names[p.Name] = true
		errs = append(errs, bgpPeer(peers.Index(i), p)...)
	}
	return errs
}

func asn(path *field.Path, n int64) field.ErrorList {
	if n == 0 {
		return field.ErrorList{field.Required(path, fmt.Sprintf("must be an autonomous system number from 1 to %d: ask the network team, or use a private one such as 64512", int64(maxASN)))}
	}
	return between(path, n, 1, int64(maxASN))
}

func communities(path *field.Path, all []string) field.ErrorList {
	errs := atMost(path, len(all), maxCommunities)
	if len(errs) > 0 {
		return errs
	}
	seen := map[bgpcommunity.Community]bool{}
	for i, text := range all {
		c, err := bgpcommunity.Parse(text)
		switch {
		case err != nil:
			errs = append(errs, field.Invalid(path.Index(i), quoted(text), err.Error()))
		case seen[c]:
			errs = append(errs, field.Duplicate(path.Index(i), text))
		}
		seen[c] = err == nil
	}
	return errs
}

// passwordForm matches names that are valid as a key of a Secret and as the name of a file.
var passwordForm = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$`)

func bgpPeer(path *field.Path, p *epic.BGPPeer) field.ErrorList {
	errs := dnsLabel(path.Child("name"), p.Name)
	a, more := address(path.Child("address"), p.Address)
	if len(more) == 0 && (a.IsLoopback() || a.IsLinkLocalUnicast()) {
		more = append(more, field.Invalid(path.Child("address"), p.Address, "must not be a loopback or link-local address: write the router's address in the nodes' network"))
	}
	errs = append(errs, more...)
	errs = append(errs, asn(path.Child("asn"), p.ASN)...)
	errs = append(errs, port(path.Child("port"), p.Port)...)
	errs = append(errs, labelSelector(path.Child("node-selector"), p.NodeSelector)...)
	if p.PasswordName != "" && !passwordForm.MatchString(p.PasswordName) {
		errs = append(errs, field.Invalid(path.Child("password-name"), quoted(p.PasswordName), "must be the key of a password in the Secret epic-bgp-passwords: letters, digits, dots, dashes and underscores, not starting with a dot. Set the name of the password here, not the password"))
	}
	errs = append(errs, between(path.Child("hold-time-seconds"), p.HoldTimeSeconds, minHoldSeconds, maxHoldSeconds)...)
	ttl := path.Child("multihop-ttl")
	if p.MultihopTTL != 0 {
		errs = append(errs, between(ttl, p.MultihopTTL, 2, maxMultihopTTL)...)
		if p.TTLSecurity {
			errs = append(errs, field.Invalid(ttl, p.MultihopTTL, "can't be combined with ttl-security, which requires a peer that is one hop away: remove one of the two"))
		}
	}
	errs = append(errs, bfd(path.Child("bfd"), p.BFD)...)
	return append(errs, between(path.Child("max-prefixes"), p.MaxPrefixes, 1, maxPrefixes)...)
}

func bfd(path *field.Path, b *epic.BFD) field.ErrorList {
	if b == nil {
		return nil
	}
	errs := between(path.Child("transmit-milliseconds"), b.TransmitMilliseconds, minBFDInterval, maxBFDInterval)
	errs = append(errs, between(path.Child("receive-milliseconds"), b.ReceiveMilliseconds, minBFDInterval, maxBFDInterval)...)
	return append(errs, between(path.Child("detect-multiplier"), b.DetectMultiplier, 2, 255)...)
}

func layer2(path *field.Path, l *epic.Layer2) field.ErrorList {
	errs := interfaceNames(path.Child("interfaces"), l.Interfaces)
	return append(errs, labelSelector(path.Child("node-selector"), l.NodeSelector)...)
}

// interfaceNames checks a list of network interfaces.
func interfaceNames(path *field.Path, names []string) field.ErrorList {
	errs := atMost(path, len(names), maxNICs)
	if len(errs) > 0 {
		return errs
	}
	seen := map[string]bool{}
	for i, name := range names {
		errs = append(errs, interfaceName(path.Index(i), name)...)
		if seen[name] {
			errs = append(errs, field.Duplicate(path.Index(i), quoted(name)))
		}
		seen[name] = true
	}
	return errs
}

// labelSelector checks a selector of nodes.
func labelSelector(path *field.Path, s *metav1.LabelSelector) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := atMost(path.Child("matchLabels"), len(s.MatchLabels), maxSelectors)
	errs = append(errs, atMost(path.Child("matchExpressions"), len(s.MatchExpressions), maxSelectors)...)
	if len(errs) > 0 {
		return errs
	}
	if errs := bounded(path, s); len(errs) > 0 {
		return errs
	}
	return few(metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, path))
}

// bgpPeersStatus checks what a node reports of its sessions.
func bgpPeersStatus(path *field.Path, all []epic.BGPPeerStatus) field.ErrorList {
	if errs := atMost(path, len(all), maxBGPPeers); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range all {
		if full(errs) {
			break
		}
		at, p := path.Index(i), &all[i]
		errs = append(errs, dnsLabel(at.Child("name"), p.Name)...)
		if seen[p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), quoted(p.Name)))
		}
		seen[p.Name] = true
		_, more := address(at.Child("address"), p.Address)
		errs = append(errs, more...)
		errs = append(errs, oneOf(at.Child("state"), p.State, epic.SessionUp, epic.SessionDown)...)
		errs = append(errs, oneOfOrNone(at.Child("bfd"), p.BFD, epic.SessionUp, epic.SessionDown)...)
		errs = append(errs, text(at.Child("message"), p.Message, maxSessionMessage)...)
	}
	return errs
}
