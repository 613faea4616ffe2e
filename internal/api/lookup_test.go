package api

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
)

// rate sets what a member's word is worth.
func (r *running) rate(who, reliability string) {
	r.t.Helper()
	if _, err := r.SetTrust(r.t.Context(), who, TrustChange{Reliability: &reliability}); err != nil {
		r.t.Fatal(err)
	}
}

// shareObjects shares STIX objects, given as JSON without the common properties,
// written so many minutes ago.
func (r *running) shareObjects(ago int, objects ...string) *Share {
	r.t.Helper()
	at := time.Now().Add(-time.Duration(ago) * time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")
	var list []string
	for _, o := range objects {
		list = append(list, strings.Replace(o, "{", fmt.Sprintf(`{"spec_version":"2.1","created":%q,"modified":%q,`, at, at), 1))
	}
	return r.shareText(`{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[`+strings.Join(list, ",")+`]}`, nil)
}

// identity is a member's STIX identity.
func (r *running) identity() string {
	m, ok := r.home.Node.Roster().Member(r.home.Member)
	if !ok {
		r.t.Fatal("no member")
	}
	return m.Card.Identity
}

func opinionJSON(n int, about, level, more string) string {
	return fmt.Sprintf(`{"type":"opinion","id":"opinion--00000000-0000-4000-8000-%012d","opinion":%q,"object_refs":[%q]%s}`, n, level, about, more)
}

func sightingJSON(n int, of string, count int) string {
	return fmt.Sprintf(`{"type":"sighting","id":"sighting--00000000-0000-4000-8000-%012d","sighting_of_ref":%q,"count":%d,
		"first_seen":"2018-05-12T03:11:00Z","last_seen":"2018-05-21T10:58:00Z"}`, n, of, count)
}

// reasonCodes are the codes of a finding's reasons.
func reasonCodes(f *Finding) (list []string) {
	for _, r := range f.Reasons {
		list = append(list, r.Code)
	}
	return list
}

// What members say of one assertion comes together: opinions, sightings, reports,
// by who may be used and by the newest word of each.
func TestLookupWeighsWhatIsSaid(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch, cedar := alder.invited("birch"), alder.invited("cedar")
	alder.inStep()
	id := alder.shareText("toknowall.com", func(q *ShareRequest) { q.Action = "block" }).IDs[0]
	birch.inStep()
	f := birch.find("toknowall.com")
	if f.Verdict != VerdictSuspicious || f.Confidence != 21 || !cmp.Equal(reasonCodes(&f), []string{"one_unrated"}) {
		t.Fatalf("nobody is rated: %+v", f)
	}
	birch.rate("alder", "A")
	birch.rate("cedar", "A")
	if f = birch.find("toknowall.com"); f.Verdict != VerdictMalicious || f.Confidence != 67 {
		t.Fatalf("by an A: %+v", f)
	}

	cedar.inStep()
	cedar.shareObjects(20, opinionJSON(1, id, "agree", ""), sightingJSON(1, id, 1204), sightingJSON(2, id, 0),
		fmt.Sprintf(`{"type":"report","id":"report--00000000-0000-4000-8000-000000000001","name":"VPNFilter","published":"2018-05-23T13:00:00Z","object_refs":[%q]}`, id))
	birch.inStep()
	f = birch.find("toknowall.com")
	if f.Verdict != VerdictMalicious || f.Confidence <= 67 || f.Opinions.Agree != 1 || f.Opinions.Disagree != 0 {
		t.Errorf("cedar agrees: %+v", f)
	}
	if s := f.Sightings; s.Count != 1204 || s.Members != 1 || s.FirstSeen.Format("01-02") != "05-12" || s.LastSeen.Format("01-02") != "05-21" {
		t.Errorf("sightings: %+v", s)
	}
	if len(f.Reports) != 1 || f.Reports[0].Title != "VPNFilter" || f.Reports[0].Member.Name != "cedar" {
		t.Errorf("reports: %+v", f.Reports)
	}

	// A newer word replaces an older one, whichever comes first.
	cedar.shareObjects(1, opinionJSON(2, id, "disagree", `,"explanation":"will be seized, only detect"`))
	cedar.shareObjects(15, opinionJSON(3, id, "strongly-agree", ""))
	birch.inStep()
	f = birch.find("toknowall.com")
	if f.Verdict != VerdictDisputed || f.Confidence != 67 || f.Opinions.Agree != 0 || f.Opinions.Disagree != 1 || len(f.Opinions.By) != 1 ||
		f.Opinions.By[0].Text != "will be seized, only detect" || !cmp.Equal(reasonCodes(&f), []string{"sources", "dissent", "seen"}) {
		t.Errorf("cedar disagrees: %+v", f)
	}

	// A copy of another member's opinion is nobody's word.
	birch.shareObjects(0, opinionJSON(4, id, "strongly-disagree", `,"created_by_ref":"`+cedar.identity()+`"`))
	alder.inStep()
	f = alder.find("toknowall.com")
	if f.Opinions.Disagree != 1 || len(f.Skipped) != 1 || f.Skipped[0].Reason != "duplicate" {
		t.Errorf("a copy: %+v", f)
	}

	// Whose word is not used has no say.
	for _, use := range []string{"hold", "none"} { // the last counts below
		held := map[string]int{"hold": 6}[use]
		if _, err := birch.SetTrust(t.Context(), "cedar", TrustChange{Use: &use}); err != nil {
			t.Fatal(err)
		}
		f = birch.find("toknowall.com")
		if f.Verdict != VerdictMalicious || f.Confidence != 67 || f.Opinions.Disagree != 0 || f.Sightings.Members != 0 || len(f.Reports) != 0 || f.Held != held {
			t.Errorf("use %s: %+v", use, f)
		}
	}
	if len(f.Skipped) == 0 || f.Skipped[0].Reason != "trust_use" {
		t.Errorf("what is not used is not counted: %+v", f.Skipped)
	}
}

// An indicator that says benign speaks against others, whatever action the share
// it came in has.
func TestLookupBenign(t *testing.T) {
	alder := found(t, protocol.Rules{})
	alder.shareObjects(0, `{"type":"indicator","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","indicator_types":["benign"],
		"pattern":"[domain-name:value = 'fine.kwaad.nl']","pattern_type":"stix","valid_from":"2016-01-01T00:00:00Z"}`)
	if f := alder.find("fine.kwaad.nl"); f.Verdict != VerdictHarmless || f.Assertions[0].Claim != ClaimHarmless {
		t.Errorf("said to be harmless: %+v", f)
	}
	alder.shareText("fine.kwaad.nl", nil)
	if f := alder.find("fine.kwaad.nl"); f.Verdict != VerdictDisputed || len(f.Assertions) != 2 {
		t.Errorf("said to be both: %+v", f)
	}
}

// What contains a value and lies within it is told beside a single value, and in
// bulk where it is asked for.
func TestLookupNear(t *testing.T) {
	alder := found(t, protocol.Rules{})
	sh := alder.shareText("91.121.96.0/20\n91.121.109.209\nevil.kwaad.nl\nhttp://kwaad.nl/a/b\n", nil)
	if sh.New != 4 {
		t.Fatalf("left out: %+v", sh.LeftOut)
	}
	near := func(value string, in ...LookupRequest) (list []string) {
		q := LookupRequest{Values: []string{value}}
		for _, q = range in {
		}
		if _, err := alder.Lookup(t.Context(), q, func(f *Finding) error {
			if f.Near == nil {
				list = append(list, "not looked for")
			}
			for _, n := range f.Near {
				list = append(list, strings.Join([]string{n.Relation, n.Value, n.Verdict, n.Members[0].Name}, " "))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	for value, want := range map[string][]string{
		"91.121.109.209":       {"contains 91.121.96.0/20 malicious alder"},
		"91.121.109.0/24":      {"contains 91.121.96.0/20 malicious alder", "within 91.121.109.209 malicious alder"},
		"a.evil.kwaad.nl":      {"contains evil.kwaad.nl malicious alder"},
		"kwaad.nl":             {"within http://kwaad.nl/a/b malicious alder", "within evil.kwaad.nl malicious alder"},
		"https://kwaad.nl/a/b": nil, // the same but for the scheme
		"8.8.8.8":              nil,
	} {
		got := near(value)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", value, diff)
		}
	}
	text := LookupRequest{Text: "91.121.109.209 and a.evil.kwaad.nl"}
	if got := near("", text); !cmp.Equal(got, []string{"not looked for", "not looked for"}) {
		t.Errorf("in bulk: %q", got)
	}
	text.Near = true
	if got := near("", text); len(got) != 2 || got[0] == "not looked for" {
		t.Errorf("in bulk, asked for: %q", got)
	}
	// What was withdrawn is near nothing any more.
	if _, err := alder.Withdraw(t.Context(), Withdraw{Ref: alder.find("evil.kwaad.nl").Assertions[0].Ref, Why: "error", NoWait: true}); err != nil {
		t.Fatal(err)
	}
	if got := near("a.evil.kwaad.nl"); got != nil {
		t.Errorf("withdrawn: %q", got)
	}
}

// writeList writes a warninglist of names into a home.
func writeList(t *testing.T, dir, name string, values ...string) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"name": name, "version": 1, "type": "hostname", "list": values, "matching_attributes": []string{"domain", "url"}})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, WarninglistFolder, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "list.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A warned value is harmless where nobody claims anything, and disputed where
// somebody does.
func TestLookupWarned(t *testing.T) {
	alder := found(t, protocol.Rules{})
	alder.shareText("popular.kwaad.nl\nhttp://popular.kwaad.nl/bad/path\n", nil)
	alder.stop()
	writeList(t, alder.dir, "popular", "popular.kwaad.nl", "quiet.kwaad.nl")
	alder = run(t, alder.dir)
	for value, want := range map[string]string{"popular.kwaad.nl": VerdictDisputed, "quiet.kwaad.nl": VerdictHarmless,
		"http://popular.kwaad.nl/bad/path": VerdictMalicious, "other.kwaad.nl": VerdictUnknown} {
		f := alder.find(value)
		if f.Verdict != want || (len(f.Warninglists) > 0) != (value != "other.kwaad.nl") {
			t.Errorf("%s: %s, %+v", value, f.Verdict, f.Warninglists)
		}
	}
	s, err := alder.Status(t.Context(), "", 0)
	if err != nil || s.Lists != (Warninglists{Lists: 1, Values: 2}) {
		t.Errorf("status: %+v, %v", s.Lists, err)
	}
}
