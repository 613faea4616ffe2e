package api

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
)

// planned plans what a file says.
func (r *running) planned(text string) *TrustPlan {
	r.t.Helper()
	p, err := r.PlanTrust(r.t.Context(), TrustPlanRequest{File: "trust.toml", Text: text})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// A file is planned with what comes of it, applied all at once, and exported as it
// was; what it decides about use shows in the very next look-up.
func TestTrustFile(t *testing.T) {
	alder := found(t, protocol.Rules{TLP: "green"})
	birch := alder.invited("birch")
	alder.invited("cedar")
	alder.inStep()
	birch.shareText("one-by-birch.com\ntwo-by-birch.com\n", nil)
	alder.inStep()
	if f := alder.find("one-by-birch.com"); len(f.Assertions) != 1 {
		t.Fatalf("%+v", f)
	}
	file := "[others]\nsend = 'green'\n[member.birch]\nuse = 'hold'\nnote = 'line \"one\"\\'\nuntil = 2999-08-01\n"
	p := alder.planned(file)
	if p.Exit() != 1 || p.Applied || p.Lines != 2 || p.Unchanged != 0 {
		t.Errorf("%+v", p)
	}
	amber := []string{"amber"}
	var stops [][]string
	for _, s := range p.Effects.Sends {
		stops = append(stops, s.Stops)
	}
	if d := cmp.Diff([][]string{amber, amber}, stops); d != "" {
		t.Error(d)
	}
	l := p.Effects.Lookups
	if len(l) != 1 || l[0].Member.Name != "birch" || l[0].From != "shown" || l[0].To != "held" || l[0].Objects < 2 || p.Effects.Held != l[0].Objects {
		t.Errorf("%+v", p.Effects)
	}
	if f := alder.find("one-by-birch.com"); f.Held != 0 {
		t.Error("the plan changed something")
	}
	done, err := alder.ApplyTrust(t.Context(), TrustApplyRequest{Text: file, Why: "CR-1", By: "bo", Planned: &p.Version})
	if err != nil || !done.Applied || done.Version != 2 {
		t.Fatalf("%+v %v", done, err)
	}
	if _, err := alder.ApplyTrust(t.Context(), TrustApplyRequest{Text: "", Planned: &p.Version}); code(err) != CodeConflict {
		t.Errorf("a plan for an older list is applied: %v", err)
	}
	f := alder.find("one-by-birch.com")
	if f.Held != 1 || len(f.Assertions) != 0 || len(f.HeldApart) != 0 || f.Verdict != VerdictUnknown {
		t.Errorf("%+v", f)
	}
	if p := alder.planned(file); p.Exit() != 0 || p.Unchanged != 2 {
		t.Errorf("%+v", p)
	}
	out, err := alder.TrustFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := alder.planned(out.Text); p.Lines != 0 || p.Unchanged != 2 {
		t.Errorf("the exported file would change\n%s\n%+v", out.Text, p)
	}
	// A line that is gone from the file is gone from the list.
	p = alder.planned("[others]\n")
	if len(p.Changes) != 1 || p.Changes[0].Op != TrustDrop || p.Effects.Unhold < 2 {
		t.Errorf("%+v", p)
	}
	history, err := alder.TrustHistory(t.Context(), "birch")
	if err != nil || len(history) != 1 || history[0].Why != "CR-1" || history[0].By != "bo" || history[0].Version != 2 || history[0].Time.IsZero() {
		t.Errorf("%+v %v", history, err)
	}
}

// Use is decided when a look-up is asked: nothing is indexed again.
func TestTrustUseInLookups(t *testing.T) {
	alder := found(t, protocol.Rules{TLP: "green"})
	birch := alder.invited("birch")
	birch.shareText("evil-use.com\n", nil)
	alder.inStep()
	for _, want := range []struct {
		use                  string
		shown, held, skipped int
	}{{"none", 0, 0, 1}, {"hold", 0, 1, 1}, {"read", 1, 0, 0}, {"none", 0, 0, 1}, {"block", 1, 0, 0}} {
		if _, err := alder.SetTrust(t.Context(), "birch", TrustChange{Use: &want.use}); err != nil {
			t.Fatal(err)
		}
		var got Finding
		_, err := alder.Lookup(t.Context(), LookupRequest{Values: []string{"evil-use.com"}, Held: true}, func(f *Finding) error {
			got = *f
			return nil
		})
		if err != nil || len(got.Assertions) != want.shown || got.Held != want.held || len(got.HeldApart) != want.held || len(got.Skipped) != want.skipped {
			t.Errorf("use %s: %+v %v", want.use, got, err)
		}
	}
}

// Whatever is wrong with a file is told with its line, and nothing changes.
func TestTrustFileFaults(t *testing.T) {
	alder := found(t, protocol.Rules{TLP: "green"})
	alder.invited("birch")
	alder.invited("cedar")
	alder.inStep()
	for _, c := range []struct{ text, want string }{
		{"[others]\nuse = 'read'\n\n[member.birch]\nuse = 'shout'\n", "trust.toml, line 5: parse use \"shout\""},
		{"[member.birch]\nsend = 'white'\n", "trust.toml, line 2: send \"white\""},
		{"[member.birch]\nreliability = 'Z'\n", "trust.toml, line 2: reliability"},
		{"[member.birch]\nuse = 3\n", "trust.toml, line 2: want a text"},
		{"[member.birch]\ncolour = 'red'\n", "trust.toml, line 2: \"colour\" is unknown"},
		{"[member.birch]\nuntil = 'soon'\n", "trust.toml, line 2: want a time"},
		{"[member.birch]\nuntil = 07:00:00\n", "trust.toml, line 2: want a time"},
		{"[member.birch]\nalias = 'two words'\n", "trust.toml, line 2: alias"},
		{"[member.birch]\nalias = 'x'\n[member.cedar]\nalias = 'x'\n", "trust.toml, line 4: alias x is taken"},
		{"[member.birch]\nid = 'abc'\n", "trust.toml, line 2: \"birch\" is the member"},
		{"\n\n[member.nobody]\nuse = 'read'\n", "trust.toml, line 3: no member is called \"nobody\""},
		{"\n[member.alder]\nuse = 'read'\n", "trust.toml, line 2: \"alder\" is us"},
		{"[others]\nalias = 'x'\n", "trust.toml, line 2: [others] has no alias"},
		{"[elm]\nuse = 'read'\n", "trust.toml, line 1: \"elm\" is unknown"},
		{"member = 3\n", "trust.toml, line 1: want a table"},
		{"[member]\nbirch = 3\n", "trust.toml, line 2: want a table"},
		{"[member.birch]\nuse = 'read'\nuse = 'none'\n", "trust.toml, line 3: "},
		{"[member.birch]\nuse = \n", "trust.toml, line 2: "},
		{"[member.birch = 1\n", "trust.toml, line 1: "},
		{"use = 'read'\xff\n", "trust.toml, line 1: "},
		{"[member.birch]\nuse = 'x'\nsend = 'y'\n", "line 2: parse use \"x\": want none, hold, read, detect or block (and 1 more)"},
	} {
		_, err := alder.ApplyTrust(t.Context(), TrustApplyRequest{File: "trust.toml", Text: c.text})
		if code(err) != CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	if list, err := alder.Trust(t.Context()); err != nil || len(list) != 3 || !list[0].Default || list[2].Version != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

// A line that has lapsed says so, and the default line is what applies.
func TestTrustLapsed(t *testing.T) {
	alder := found(t, protocol.Rules{TLP: "green"})
	alder.invited("birch")
	use, over := "block", time.Now().Add(-time.Hour)
	if _, err := alder.SetTrust(t.Context(), "birch", TrustChange{Use: &use, Until: &over}); err != nil {
		t.Fatal(err)
	}
	m, err := alder.Member(t.Context(), "birch")
	if err != nil || !m.Trust.Lapsed || !m.Trust.Default || m.Trust.Use != "read" || !m.Trust.Until.Equal(over.Truncate(time.Millisecond)) {
		t.Errorf("%+v %v", m.Trust, err)
	}
	if out, err := alder.TrustFile(t.Context()); err != nil || alder.planned(out.Text).Lines != 0 {
		t.Errorf("a lapsed line does not survive its file: %v", err)
	}
}
