package node

import (
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// TestWordsKept: what people wrote is found by its words and facets; what comes in
// bulk, and what a share only records, takes no room.
func TestWordsKept(t *testing.T) {
	const (
		times  = `"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z"`
		me     = "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff"
		a      = "indicator--11111111-377b-45e0-aa1c-6a4751cae5ff"
		family = "malware--22222222-377b-45e0-aa1c-6a4751cae5ff"
		share  = "grouping--33333333-377b-45e0-aa1c-6a4751cae5ff"
		part   = "grouping--44444444-377b-45e0-aa1c-6a4751cae5ff"
		ext    = `"extensions":{"extension-definition--181b5c98-e424-4f7e-9072-4edee49aad30":{"extension_type":"property-extension","share":"` + share + `"}}`
		amber  = `"object_marking_refs":["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"]`
	)
	bundle := `{"type":"bundle","id":"bundle--1","objects":[
		{"type":"indicator","id":"` + a + `",` + times + `,"name":"VPNFilter","labels":["x"],"pattern":"[domain-name:value = 'toknowall.com']","pattern_type":"stix"},
		{"type":"indicator","id":"indicator--55555555-377b-45e0-aa1c-6a4751cae5ff",` + times + `,"description":"Stage 2 at evil[.]example[.]com","pattern":"[domain-name:value = 'evil.example.com']","pattern_type":"stix"},
		{"type":"relationship","id":"relationship--66666666-377b-45e0-aa1c-6a4751cae5ff",` + times + `,"relationship_type":"indicates","source_ref":"` + a + `","target_ref":"` + family + `"},
		{"type":"malware","id":"` + family + `",` + times + `,"name":"VPN  Filter","aliases":["Vpn-F"],"is_family":true},
		{"type":"attack-pattern","id":"attack-pattern--77777777-377b-45e0-aa1c-6a4751cae5ff",` + times + `,"name":"Hijack","external_references":[{"source_name":"mitre-attack","external_id":"T1496.001"}]},
		{"type":"intrusion-set","id":"intrusion-set--88888888-377b-45e0-aa1c-6a4751cae5ff",` + times + `,"name":"APT28","labels":["State"]},
		{"type":"opinion","id":"opinion--99999999-377b-45e0-aa1c-6a4751cae5ff",` + times + `,"opinion":"disagree","object_refs":["` + a + `","nonsense","` + a + `"]},
		{"type":"grouping","id":"` + share + `",` + times + `,"created_by_ref":"` + me + `","name":"Talos report","object_refs":["` + a + `"],` + ext + `,` + amber + `},
		{"type":"grouping","id":"` + part + `",` + times + `,"created_by_ref":"` + me + `","name":"Talos report","object_refs":["` + a + `"],` + ext + `,` + amber + `}]}`
	objects, err := Objects([]byte(bundle), protocol.MemberID{1}, me, false, 1, 1)
	if err != nil || len(objects) != 9 {
		t.Fatal(len(objects), err)
	}
	by := map[string]store.Object{}
	for _, o := range objects {
		by[o.ID] = o
	}
	if o := by[a]; len(o.Words) > 0 || len(o.Refs) > 0 {
		t.Errorf("an indicator without text: %q, %q", o.Words, o.Refs)
	}
	if o := by[part]; len(o.Words) > 0 || len(o.Refs) > 0 {
		t.Errorf("a later part of a share: %q, %q", o.Words, o.Refs)
	}
	for id, want := range map[string][]string{
		"indicator--55555555-377b-45e0-aa1c-6a4751cae5ff": {"type=indicator", "evil.example.com", "stage", "tlp=amber"},
		family: {"type=malware", "malware=vpn filter", "malware=vpn-f", "filter", MemberFacet(protocol.MemberID{1})},
		"attack-pattern--77777777-377b-45e0-aa1c-6a4751cae5ff": {"technique=t1496.001", "technique=t1496", "technique=hijack", "t1496.001"},
		"intrusion-set--88888888-377b-45e0-aa1c-6a4751cae5ff":  {"actor=apt28", "label=state", "state", "apt28"},
		share: {"type=share", "talos", "report"},
	} {
		for _, w := range want {
			if !slices.Contains(by[id].Words, w) {
				t.Errorf("%s lacks %q: %q", id, w, by[id].Words)
			}
		}
	}
	if o := by["relationship--66666666-377b-45e0-aa1c-6a4751cae5ff"]; len(o.Words) > 0 || !slices.Equal(o.Refs, []string{a, family}) {
		t.Errorf("a relationship: %q, %q", o.Words, o.Refs)
	}
	if o := by["opinion--99999999-377b-45e0-aa1c-6a4751cae5ff"]; !slices.Equal(o.Refs, []string{a}) {
		t.Errorf("an opinion refers to %q", o.Refs)
	}
	if o := by[share]; len(o.Refs) > 0 {
		t.Errorf("the record of a share refers to %q", o.Refs)
	}
}
