package protocol

import (
	"errors"
	"strings"
	"testing"
)

// A request is read back as it was made; one that another key signed, or of which
// a character changed, is refused.
func TestNodeRequest(t *testing.T) {
	text, err := NewNodeRequest(keyNamed("alpha"), "age1pq1placeholder")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseNodeRequest(" " + text[:20] + "\n" + text[20:])
	if err != nil || r.Node != KeyOf(keyNamed("alpha")) || r.Recipient != "age1pq1placeholder" {
		t.Fatalf("%+v, %v", r, err)
	}
	forged := seal(DomainRequest, Marshal(r), keyNamed("beta"))
	if _, err := parseNodeRequest(forged); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by another key: %v", err)
	}
	for i := range text {
		c := byte('A')
		if text[i] == c {
			c = 'B'
		}
		if _, err := ParseNodeRequest(text[:i] + string(c) + text[i+1:]); err == nil {
			t.Errorf("character %d changed, and it is taken", i)
		}
	}
	later := *r
	later.Version = 2
	if _, err := parseNodeRequest(seal(DomainRequest, Marshal(&later), keyNamed("alpha"))); !errors.Is(err, ErrVersion) {
		t.Errorf("a later version: %v", err)
	}
	if _, err := NewNodeRequest(keyNamed("alpha"), strings.Repeat("x", MaxRecipient+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("too long a recipient: %v", err)
	}
}

func FuzzParseNodeRequest(f *testing.F) {
	text, err := NewNodeRequest(keyNamed("alpha"), "age1pq1placeholder")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(requestPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseNodeRequest(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrVersion) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again := Marshal(r)
		raw, _ := parseNodeRequest(seal(DomainRequest, again, keyNamed("alpha")))
		if r.Node == KeyOf(keyNamed("alpha")) && raw == nil {
			t.Fatal("taken, and not made anew")
		}
	})
}
