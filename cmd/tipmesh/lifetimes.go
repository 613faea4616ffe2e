package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/protocol"
)

// lifetimesFlag is lifetimes by type of value, as address=7d,url=14d.
type lifetimesFlag map[string]time.Duration

// lifeTypes are the types of values that have a lifetime.
var lifeTypes = []string{"address", "url", "domain", "mail", "certificate", "hash"}

func (f *lifetimesFlag) String() string {
	var out []string
	for _, t := range lifeTypes {
		if d, ok := (*f)[t]; ok {
			out = append(out, t+"="+d.String())
		}
	}
	return strings.Join(out, ",")
}

func (f *lifetimesFlag) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		name, text, _ := strings.Cut(part, "=")
		d, err := duration(text)
		if err != nil || !slices.Contains(lifeTypes, name) {
			return fmt.Errorf("%q: want TYPE=DURATION, as in domain=60d; types are %s", part, strings.Join(lifeTypes, ", "))
		}
		if *f == nil {
			*f = lifetimesFlag{}
		}
		(*f)[name] = d
	}
	return nil
}

func (f *lifetimesFlag) Type() string { return "lifetimes" }

// rules gives them for a charter.
func (f lifetimesFlag) rules() protocol.Lifetimes {
	of := func(t string) uint64 { return uint64(f[t] / time.Second) } // #nosec G115 -- not negative
	return protocol.Lifetimes{AddressSeconds: of("address"), URLSeconds: of("url"), DomainSeconds: of("domain"), MailSeconds: of("mail"),
		CertificateSeconds: of("certificate"), HashSeconds: of("hash")}
}

// change gives them for a proposal; nil where there are none.
func (f lifetimesFlag) change() *api.Lifetimes {
	if len(f) == 0 {
		return nil
	}
	of := func(t string) *float64 {
		d, ok := f[t]
		if !ok {
			return nil
		}
		n := float64(d / time.Second)
		return &n
	}
	return &api.Lifetimes{AddressS: of("address"), URLS: of("url"), DomainS: of("domain"), MailS: of("mail"), CertificateS: of("certificate"), HashS: of("hash")}
}

// lifetimesText says lifetimes in words.
func lifetimesText(l *api.Lifetimes) (out []string) {
	if l == nil {
		return nil
	}
	for i, n := range []*float64{l.AddressS, l.URLS, l.DomainS, l.MailS, l.CertificateS, l.HashS} {
		if n != nil && *n > 0 {
			out = append(out, lifeTypes[i]+" holds "+lasting(time.Duration(*n)*time.Second))
		}
	}
	return out
}
