package protocol

import (
	"bytes"
	"errors"
	"testing"
)

// fuzzDecoder checks that parse never panics and that what it takes is made anew
// to the same bytes. Data is tried as it is and, where the kind is signed, as a
// body under a valid signature by the sample's signer.
func fuzzDecoder(f *testing.F, kind string) {
	var parse func([]byte) ([]byte, error)
	var domain Domain
	var signer string
	for _, s := range samples(f) {
		if s.kind != kind {
			continue
		}
		parse, domain, signer = s.parse, s.domain, s.signer
		f.Add(s.raw)
		f.Add(s.body)
		for i, b := range badMaps(f, s.body) {
			if len(b.data) < 4096 && i%7 == 0 {
				f.Add(b.data)
			}
		}
	}
	key := keyNamed(signer)
	f.Fuzz(func(t *testing.T, data []byte) {
		tries := [][]byte{data}
		if domain != "" {
			tries = append(tries, seal(domain, data, key))
		}
		for _, raw := range tries {
			again, err := parse(raw)
			if err != nil {
				if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrVersion) {
					t.Fatalf("an error of another kind: %v", err)
				}
			} else if !bytes.Equal(again, raw) {
				t.Fatalf("taken, but made anew it is %x instead of %x", again, raw)
			}
		}
	})
}

func FuzzParseStatement(f *testing.F)     { fuzzDecoder(f, "statement") }
func FuzzParseHeader(f *testing.F)        { fuzzDecoder(f, "header") }
func FuzzParseEpoch(f *testing.F)         { fuzzDecoder(f, "epoch") }
func FuzzParseAudienceState(f *testing.F) { fuzzDecoder(f, "audience") }
func FuzzParseLetter(f *testing.F)        { fuzzDecoder(f, "letter") }
func FuzzParseErasure(f *testing.F)       { fuzzDecoder(f, "erasure") }
func FuzzParseTicket(f *testing.F)        { fuzzDecoder(f, "ticket") }

// FuzzContent puts data into statements of every kind.
func FuzzContent(f *testing.F) {
	for _, c := range sampleContents() {
		f.Add(uint8(c.doc.Kind()), Marshal(c.doc))
	}
	mesh := sampleMesh()
	key := keyNamed("alpha")
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		s := &Statement{Version: Version, Kind: Kind(kind), Mesh: mesh, Signer: KeyOf(key), Time: at, Content: data}
		if s.Kind == KindCharter {
			s.Mesh = MeshID{}
		}
		raw := seal(DomainStatement, Marshal(s), key)
		again, err := parseStatementAgain(raw)
		if err == nil && !bytes.Equal(again, raw) {
			t.Fatalf("taken, but made anew it is %x instead of %x", again, raw)
		}
	})
}

// FuzzTicketText checks ticket texts, and that white space alone makes no
// difference.
func FuzzTicketText(f *testing.F) {
	f.Add(sampleTicket(f).Text())
	f.Add("tipmesh-ticket-1:")
	f.Fuzz(func(t *testing.T, text string) {
		ticket, _, err := ParseTicket(text)
		if err != nil {
			return
		}
		again, _, err := ParseTicket(ticket.Text())
		if err != nil || again.ID() != ticket.ID() {
			t.Fatalf("does not come back: %v", err)
		}
	})
}

func FuzzRefPrefix(f *testing.F) {
	f.Add("0123456789abcdefghjkmnpqrstvwxyz")
	f.Add("abcdu")
	f.Fuzz(func(t *testing.T, code string) {
		prefix, bits, err := RefPrefix(code)
		if err == nil && (bits > 256 || bits != 5*len(code) || len(prefix) != (bits+7)/8) {
			t.Fatalf("%d bits in %d bytes", bits, len(prefix))
		}
	})
}
