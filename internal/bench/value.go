package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/store"
)

// seed is of all values.
const seed = 1

// octets are how many first octets public addresses are made with.
const octets = 128

// value is the i-th of a run without repetition: an IPv4 address, a domain, a
// SHA-256 hash, and so on in turn. They are as hard to compress as they can be,
// but for the endings of the domains.
func value(i int) store.Value {
	k := uint64(i / 3)
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	switch i % 3 {
	case 0:
		// An odd factor visits each of the 2^31 addresses once.
		a := uint32((k*2_654_435_761 + seed*97) % (octets << 24))
		first := 11 + a>>24 // 11 to 140 without those that are not public
		if first >= 100 {
			first++
		}
		if first >= 127 {
			first++
		}
		addr := netip.AddrFrom4([4]byte{byte(first), byte(a >> 16), byte(a >> 8), byte(a)})
		return store.Value{Type: "ipv4", Text: addr.String()}
	case 1:
		endings := []string{"com", "net", "org", "info", "nl", "de", "fr", "io"}
		b := make([]byte, 10+r.IntN(7))
		for j := range b {
			b[j] = byte('a' + r.IntN(26))
		}
		return store.Value{Type: "domain", Text: string(b) + "." + endings[r.IntN(len(endings))]}
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte{seed}, k))
	return store.Value{Type: "sha256", Text: hex.EncodeToString(sum[:])}
}

// list is a file with a value on each line, as an author has it.
type list struct {
	next, end int
	rest      []byte
}

// newList lists the values from one number to before another.
func newList(from, end int) *list { return &list{next: from, end: end} }

// Read gives the file.
func (l *list) Read(p []byte) (int, error) {
	for len(l.rest) < len(p) && l.next < l.end {
		l.rest = append(append(l.rest, value(l.next).Text...), '\n')
		l.next++
	}
	if len(l.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// mostRelated bounds the values that contain others or lie within them.
const mostRelated = 3_000

// related gives, for some of the values below n, one that contains it or lies
// within it: a network of an address, a host or a URL of a domain. of are the values
// that they are of.
func related(n int) (text string, of []store.Value) {
	var b strings.Builder
	seen := map[string]bool{}
	for k, i := range sample(n, min(n/100, mostRelated)) {
		v, near := value(i), ""
		switch {
		case v.Type == "ipv4":
			if net, err := netip.MustParseAddr(v.Text).Prefix(20 + k%9); err == nil {
				near = net.String()
			}
		case v.Type == "domain" && k%2 == 0:
			near = "host" + strconv.Itoa(k) + "." + v.Text
		case v.Type == "domain":
			near = "http://" + v.Text + "/path/" + strconv.Itoa(k)
		}
		if near == "" || seen[near] {
			continue
		}
		seen[near] = true
		b.WriteString(near + "\n")
		of = append(of, v)
	}
	return b.String(), of
}

// author is of the objects that the peers carry.
var author = stix.Author{ID: "identity--6f1e9c0a-0d0f-4c53-9a55-5d9f6c1b1a01", Name: "Alder"}

// objects gives the STIX indicators of some values.
func objects(from, end int) []stix.Object {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}
	out := make([]stix.Object, 0, end-from)
	for i := from; i < end; i++ {
		v := value(i)
		out = append(out, stix.NewIndicator(author, v.Type, v.Text, h, at))
	}
	return out
}

// sample gives numbers below n, the same for the same count.
func sample(n, count int) []int {
	r := rand.New(rand.NewPCG(seed, 7))
	out := make([]int, count)
	for i := range out {
		out[i] = r.IntN(n)
	}
	return out
}

func values(numbers []int) []string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		out[i] = value(n).Text
	}
	return out
}
