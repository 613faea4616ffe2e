package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

func TestShareReachesEveryone(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	cedar := alder.invited("cedar")
	birch.inStep()
	alder.inStep()

	sh := alder.shareText("toknowall[.]com\n91.121.109[.]209\nhxxp://photobucket[.]com/user/x\n999.1.1.1\n", func(q *ShareRequest) { q.Action = "block" })
	if sh.New != 3 || sh.HeldBy.Have != 2 || sh.HeldBy.Of != 2 || !sh.Durable || sh.Exit() == 6 || sh.Format != "list" {
		t.Fatalf("share: %+v", sh)
	}
	if !sh.Refused || len(sh.LeftOut) != 1 || sh.LeftOut[0].Line != 4 || sh.Exit() != 7 {
		t.Errorf("left out: %+v, exit %d", sh.LeftOut, sh.Exit())
	}
	if len(sh.Warnings) != 1 || sh.Warnings[0].Code != "no_context" || sh.TLP != "green" {
		t.Errorf("warnings %+v, tlp %s", sh.Warnings, sh.TLP)
	}
	for _, n := range []*running{alder, birch, cedar} {
		n.inStep()
		for _, v := range []string{"TOKNOWALL.com", "91.121.109.209", "https://photobucket.com/user/x", "photobucket.com/user/x"} {
			f := n.find(v)
			want := VerdictSuspicious // by one member whom nobody has rated
			if n == alder {
				want = VerdictMalicious
			}
			if f.Verdict != want || len(f.Assertions) != 1 || f.Assertions[0].Member.Name != "alder" || f.Assertions[0].Action != "block" {
				t.Errorf("%s: %s: %+v", n.dir, v, f)
			}
		}
		if f := n.find("photobucket.com"); f.Verdict != VerdictUnknown {
			t.Errorf("a URL widened to its host: %+v", f)
		}
	}

	again := alder.shareText("toknowall[.]com\n", func(q *ShareRequest) { q.Action = "block" })
	if again.New != 0 || again.Ref != sh.Ref || len(again.LeftOut) != 1 || again.LeftOut[0].Reason != "duplicate" || again.Refused || again.HeldBy.Have != 2 {
		t.Errorf("shared again: %+v", again)
	}
	softer := alder.shareText("toknowall[.]com\n", func(q *ShareRequest) { q.Action = "none" })
	if softer.New != 1 || softer.IDs[0] != again.IDs[0] {
		t.Errorf("another action: %+v", softer)
	}
	birch.inStep()
	if f := birch.find("toknowall.com"); f.Verdict != VerdictSuspicious || len(f.Assertions) != 1 {
		t.Errorf("after the next version: %+v", f)
	}
	shown(t, birch, sh, softer.IDs[0])
}

func shown(t *testing.T, n *running, sh *Share, id string) {
	t.Helper()
	x, err := n.Show(t.Context(), sh.Ref)
	if err != nil || x.Share == nil || x.Share.Total != 3 || x.Share.Member.Name != "alder" || x.Share.Holders.Have != 3 {
		t.Errorf("show %s: %v %+v", sh.Ref, err, x)
	}
	f := n.find("toknowall.com")
	for _, ref := range []string{id, f.Assertions[0].Ref, strings.TrimPrefix(f.Assertions[0].Ref, "indicator:")} {
		x, err := n.Show(t.Context(), ref)
		if err != nil || x.Object == nil {
			t.Errorf("show %s: %v", ref, err)
			continue
		}
		o := x.Object
		if o.ID != id || len(o.Versions) != 2 || !o.Versions[0].Modified.After(o.Versions[1].Modified) || len(o.Readers) != 3 || !json.Valid(o.STIX) {
			t.Errorf("show %s: %+v", ref, o)
		}
	}
	for _, ref := range []string{"indicator:zzzzzzzz", "share:zzzzz", "!", "malware:" + f.Assertions[0].Ref[10:]} {
		if _, err := n.Show(t.Context(), ref); code(err) != CodeNotFound {
			t.Errorf("show %s: %v", ref, err)
		}
	}
}

func TestShareSTIX(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	alder.inStep()
	// Odd spelling and unknown properties must come out as they went in.
	object := `{ "type":"indicator","spec_version":"2.1","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2016-04-06T20:03:48.000Z",` +
		`"modified":"2016-04-06T20:03:48.000Z","pattern":"[domain-name:value = 'odd.kwaad.nl']","pattern_type":"stix","valid_from":"2016-01-01T00:00:00Z","x_odd": [1.50, "é"] }`
	sh := alder.shareText(`{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[`+object+`]}`, nil)
	if sh.New != 1 || sh.Format != "stix-2.1" || sh.HeldBy.Have != 1 {
		t.Fatalf("share: %+v", sh)
	}
	birch.inStep()
	x, err := birch.Show(t.Context(), sh.IDs[0])
	if err != nil || string(x.Object.STIX) != compacted(t, object) {
		t.Errorf("came out as %s, %v", x.Object.STIX, err)
	}
	// White space is all that the API's JSON loses.
	// What was last said of a name in 2016 has lost all its weight.
	if f := birch.find("odd.kwaad.nl"); f.Verdict != VerdictUnknown || len(f.Assertions) != 1 || f.Assertions[0].Live || f.Reasons[0].Code != "expired" ||
		len(f.Skipped) != 1 || f.Skipped[0].Reason != "expired" || f.Skipped[0].Count != 1 || x.Object.Live {
		t.Errorf("lookup: %+v", f)
	}
}

func TestShareErrors(t *testing.T) {
	alder := found(t, protocol.Rules{Context: 1, TLP: "amber"})
	for _, c := range []struct {
		name, code, says string
		change           func(*ShareRequest)
	}{
		{"nobody", CodeInvalid, "nobody would receive this: add --to everyone or --to @GROUP", func(q *ShareRequest) { q.To = "" }},
		{"group", CodeNotFound, "@x", func(q *ShareRequest) { q.To = "@x" }},
		{"tlp", CodeInvalid, "TLP", func(q *ShareRequest) { q.TLP = "purple" }},
		{"action", CodeInvalid, "action", func(q *ShareRequest) { q.Action = "nuke" }},
		{"wait", CodeInvalid, "wait", func(q *ShareRequest) { q.Wait = "some" }},
		{"too many", CodeInvalid, "wait for 7", func(q *ShareRequest) { q.Wait = "7"; context1(q) }},
		{"context", CodeDenied, "no_context", nil},
		{"confidence", CodeInvalid, "confidence", func(q *ShareRequest) { q.Confidence = 101 }},
		{"expired", CodeInvalid, "expired", func(q *ShareRequest) { q.Expires = time.Unix(1, 0) }},
		{"empty", CodeInvalid, "nothing", func(q *ShareRequest) { q.Body = strings.NewReader("\n") }},
		{"gzip", CodeInvalid, "gzip", func(q *ShareRequest) { q.Body = strings.NewReader("\x1f\x8b\x08") }},
		{"broken", CodeInvalid, "list.txt", func(q *ShareRequest) { q.Body = strings.NewReader(`{"type":"bundle","objects":[`) }},
	} {
		q := ShareRequest{Body: strings.NewReader("evil.kwaad.nl"), Name: "list.txt", To: "everyone"}
		if c.change != nil {
			c.change(&q)
		}
		_, err := alder.Share(t.Context(), q)
		if code(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q %v", c.name, code(err), err)
		}
	}
	dry := alder.shareText("evil.kwaad.nl", func(q *ShareRequest) { q.DryRun = true; q.Wait = ""; context1(q) })
	if dry.Durable || dry.Ref != "" || dry.New != 3 || dry.TLP != "amber" || !dry.DryRun {
		t.Errorf("dry run: %+v", dry)
	}
	if f := alder.find("evil.kwaad.nl"); f.Verdict != VerdictUnknown {
		t.Errorf("a dry run shared: %+v", f)
	}
}

func context1(q *ShareRequest) {
	q.Malware = "VPNFilter"
	q.First, q.Last = time.Date(2018, 5, 8, 0, 0, 0, 0, time.UTC), time.Date(2018, 5, 21, 0, 0, 0, 0, time.UTC)
}

func TestShareTimesOut(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	alder.inStep()
	birch.stop()
	sh := alder.shareText("late.kwaad.nl", func(q *ShareRequest) { q.Timeout = 300 * time.Millisecond })
	if !sh.TimedOut || sh.Exit() != 6 || !sh.Durable || sh.HeldBy.Have != 0 || sh.HeldBy.Of != 1 {
		t.Errorf("share: %+v", sh)
	}
	birch = run(t, birch.dir)
	birch.inStep()
	if f := birch.find("late.kwaad.nl"); f.Verdict != VerdictSuspicious {
		t.Errorf("after the restart: %+v", f)
	}
}

func TestLookupText(t *testing.T) {
	alder := found(t, protocol.Rules{})
	alder.shareText("evil.kwaad.nl\n", func(q *ShareRequest) { q.Wait = "" })
	var got []Finding
	sum, err := alder.Lookup(t.Context(), LookupRequest{Text: "first line\nevil[.]kwaad[.]nl and 198.51.100[.]77\n\nevil[.]kwaad[.]nl\nlast"}, func(f *Finding) error {
		got = append(got, *f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 1 || got[0].Value != "evil.kwaad.nl" || got[0].Line != 2 || got[0].Verdict != VerdictMalicious {
		t.Errorf("findings: %+v", got)
	}
	if len(sum.UnreadLines) != 2 || sum.UnreadLines[0] != 1 || sum.UnreadLines[1] != 5 || sum.Exit() != 0 {
		t.Errorf("summary: %+v", sum)
	}
	if f := alder.find("evil.exe"); f.Type != "filename" {
		t.Errorf("file name: %+v", f)
	}
	if _, err := alder.Lookup(t.Context(), LookupRequest{Values: []string{"no value"}}, nil); code(err) != CodeInvalid {
		t.Errorf("no value: %v", err)
	}
}

func TestTrustDecides(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	alder.inStep()
	alder.shareText("evil.kwaad.nl", nil)
	birch.inStep()
	set := func(use string) {
		if _, err := birch.SetTrust(t.Context(), "alder", TrustChange{Use: &use, Why: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	set("hold")
	if f := birch.find("evil.kwaad.nl"); f.Held != 1 || f.Verdict != VerdictUnknown || len(f.Assertions) != 0 {
		t.Errorf("held: %+v", f)
	}
	set("none")
	if f := birch.find("evil.kwaad.nl"); f.Held != 0 || f.Verdict != VerdictUnknown || len(f.Skipped) != 1 {
		t.Errorf("unused: %+v", f)
	}
	set("block")
	if f := birch.find("evil.kwaad.nl"); f.Verdict != VerdictSuspicious || f.Assertions[0].Use != "block" {
		t.Errorf("used: %+v", f)
	}
	list, err := birch.Trust(t.Context())
	if err != nil || len(list) != 2 || list[0].Use != "block" || list[0].Default || !list[1].Default || list[1].Member.Name != "others" {
		t.Errorf("list: %v %+v", err, list)
	}
	send := "none"
	if _, err := birch.SetTrust(t.Context(), "others", TrustChange{Send: &send}); err != nil {
		t.Fatal(err)
	}
	if _, err := birch.SetTrust(t.Context(), "alder", TrustChange{Send: &send}); err != nil {
		t.Fatal(err)
	}
	if _, err := birch.Share(t.Context(), ShareRequest{Body: strings.NewReader("x.kwaad.nl"), To: "everyone"}); code(err) != CodeDenied {
		t.Errorf("sent to nobody: %v", err)
	}
	bad := "maybe"
	if _, err := birch.SetTrust(t.Context(), "alder", TrustChange{Use: &bad}); code(err) != CodeInvalid {
		t.Errorf("bad use: %v", err)
	}
	if _, err := birch.SetTrust(t.Context(), "nobody", TrustChange{Use: &bad}); code(err) != CodeNotFound {
		t.Errorf("nobody: %v", err)
	}
}

func compacted(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
