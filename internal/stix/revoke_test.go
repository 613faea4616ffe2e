package stix

import (
	"bytes"
	"testing"
	"time"
)

func TestRevoke(t *testing.T) {
	now := time.Date(2026, 5, 23, 9, 0, 0, 0, time.UTC)
	author := Author{ID: "identity--3f1c5b3e-8f35-4b1d-9a3b-0d8d1c1f6a10", Name: "Alder", Created: now}
	h := Handling{TLP: TLPAmber, Action: ActionBlock, Malware: "Secret Name", FirstSeen: now, LastSeen: now, Confidence: 80}
	first := NewIndicator(author, "domain", "secret.example.org", h, now)
	for _, why := range []Why{WhyFalsePositive, WhyLeak} {
		o, err := Revoke(first, why, now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		objs, problems, err := ParseBundle(AppendBundle(nil, "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", []Object{o}))
		if err != nil || len(problems) > 0 || len(objs) != 1 {
			t.Fatalf("%s: %v %v\n%s", why, err, problems, o.Raw)
		}
		f := FactsOf(objs[0])
		if !f.Revoked || f.ID != first.ID || !f.Created.Equal(now) || !f.Modified.Equal(now.Add(time.Minute)) || f.TLP != TLPAmber || f.CreatedBy != author.ID {
			t.Errorf("%s: %+v", why, f)
		}
		if got := WithdrawnWhy(o.Raw); got != why {
			t.Errorf("why: %q, want %q", got, why)
		}
		leaks := bytes.Contains(o.Raw, []byte("secret.example.org")) || bytes.Contains(o.Raw, []byte("Secret Name"))
		if leaks != (why != WhyLeak) {
			t.Errorf("%s: says %s", why, o.Raw)
		}
		again, err := Revoke(o, why, now.Add(2*time.Minute))
		if err != nil || bytes.Count(again.Raw, []byte(`"revoked"`)) != 1 {
			t.Errorf("revoked twice: %v %s", err, again.Raw)
		}
	}
	if _, err := Revoke(Object{ID: "domain-name--x", Raw: []byte(`{"type":"domain-name","id":"domain-name--x","value":"a.com"}`)}, WhyError, now); err == nil {
		t.Error("an observable was revoked")
	}
}
