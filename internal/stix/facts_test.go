package stix

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func scan(t *testing.T, data []byte) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	err := Scan(data, func(n int, raw []byte, f *Facts) error {
		counts["type "+f.Type]++
		for _, v := range f.Values {
			counts[v.Path]++
			counts["kind "+v.Kind]++
			if key := "distinct " + v.Path + " " + v.Text; counts[key] == 0 {
				counts[key]++
				counts["distinct "+v.Path]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// TestKnownFiles checks counts that the data's README gives by hand.
func TestKnownFiles(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"stix21/AmnestyTech+investigations/2021-07-18_nso/pegasus.stix2": {
			"type indicator": 1549, "domain-name:value": 1438, "email-addr:value": 29, "process:name": 81, "file:name": 1,
			"kind domain": 1438, "kind email": 29, "kind filename": 1, "kind ": 81,
		},
		"stix21/AmnestyTech+investigations/2024-12-16_serbia_novispy/novispy.stix2": {"kind ipv4": 7},
		"stix20/pan-unit42+iocs/stix2-reports/report_json/IcedID_Malware.json": {
			"type indicator": 207, "file:hashes.SHA-256": 145, "distinct file:hashes.SHA-256": 138, "kind sha256": 145,
		},
	} {
		got := scan(t, dataBytes(t, name))
		for what, n := range want {
			if got[what] != n {
				t.Errorf("%s: %d of %s, want %d", name, got[what], what, n)
			}
		}
	}
}

// TestScanAgrees has Scan and ParseBundle read the same files.
func TestScanAgrees(t *testing.T) {
	for name := range expectations(t) {
		data := dataBytes(t, name)
		objs, problems, err := ParseBundle(data)
		if err != nil {
			t.Fatal(err)
		}
		byID := make(map[string]Object)
		for _, o := range objs {
			byID[o.ID+o.Modified.String()] = o
		}
		n := 0
		err = Scan(data, func(at int, raw []byte, f *Facts) error {
			n++
			o := byID[f.ID+f.Modified.String()]
			if len(problems) == 0 && (o.Type != f.Type || o.CreatedBy != f.CreatedBy || o.Revoked != f.Revoked ||
				!o.Upgraded && !bytes.Equal(o.Raw, raw)) {
				t.Errorf("%s: %+v is not %+v", name, f, o)
			}
			return nil
		})
		if err != nil || len(problems) == 0 && n != len(objs) {
			t.Errorf("%s: %d scanned of %d, %v", name, n, len(objs), err)
		}
	}
}

func TestFacts(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2020, 1, day, 0, 0, 0, 0, time.UTC) }
	white, red := "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", TLPRed.MarkingID()
	for doc, check := range map[string]func(f Facts) bool{
		object("malware", `"name":"X","is_family":true,"first_seen":"2020-01-05T00:00:00Z","description":"one\ntwo"`): func(f Facts) bool {
			return f.Says == "X; one" && f.FirstSeen.Equal(at(5)) && f.Created.Equal(at(1)) && f.Modified.Equal(at(2)) && f.Confidence == -1
		},
		object("tool", `"name":"a\u001b[31mb\u202ec\u0000d","kill_chain_phases":[{"kill_chain_name":"k","phase_name":"exploit"}]`): func(f Facts) bool {
			return f.Says == "a [31mb c d; exploit"
		},
		object("tool", `"name":"x","object_marking_refs":["`+red+`","`+white+`"],"revoked":true,"confidence":0`): func(f Facts) bool {
			return f.TLP == TLPRed && f.Revoked && f.Confidence == 0
		},
		object("tool", `"name":"x","object_marking_refs":"x","labels":3,"extensions":[],"created_by_ref":{},"confidence":1e9,"revoked":1`): func(f Facts) bool {
			return f.TLP == "" && f.Says == "x" && f.CreatedBy == "" && f.Confidence == -1 && !f.Revoked
		},
		object("tool", `"name":"x","extensions":{"`+ExtensionHandling+`":{"action":"explode","other":[1]},"x":1}`): func(f Facts) bool {
			return f.Action == ""
		},
		`{"type":"file","id":"file--` + someUUID + `","name":"a.exe","hashes":{"MD5":"m","SHA-256":"s","SSDEEP":"z"}}`: func(f Facts) bool {
			return fmt.Sprint(f.Values) == "[{md5 file:hashes.MD5 m true} {sha256 file:hashes.SHA-256 s true} {filename file:name a.exe true}]"
		},
		object("tool", `"name":"x","granular_markings":[{"marking_ref":"`+red+`","selectors":["name"]}]`): func(f Facts) bool {
			return f.TLP == TLPRed
		},
		object("marking-definition", `"definition_type":"tlp","definition":{"tlp":"amber"}`): func(f Facts) bool { return f.TLP == TLPAmber },
		`{"definition":{"tlp":"red"},"definition_type":"tlp","id":"marking-definition--` + someUUID + `","type":"marking-definition"}`: func(f Facts) bool {
			return f.TLP == TLPRed
		},
		string(TLPAmberStrict.Marking().Raw): func(f Facts) bool { return f.TLP == TLPAmberStrict },
		`{"type":"ipv4-addr","id":"ipv4-addr--` + someUUID + `","value":"198.51.100.0/24"}`: func(f Facts) bool {
			return fmt.Sprint(f.Values) == "[{ipv4 ipv4-addr:value 198.51.100.0/24 true}]"
		},
		object("observed-data", `"objects":{"0":{"type":"domain-name","value":"a.example"},"1":{"type":"file","hashes":{"SHA-1":"x"}}}`): func(f Facts) bool {
			return fmt.Sprint(f.Values) == "[{domain domain-name:value a.example true} {sha1 file:hashes.SHA-1 x true}]"
		},
		object("report", `"name":"N","aliases":["x","y"],"labels":"l","object_refs":["tool--1","tool--2"],"some_ref":"tool--3",`+
			`"created_by_ref":"identity--1","object_marking_refs":["`+red+`"],"description":"d",`+
			`"external_references":[{"source_name":"mitre-attack","external_id":"T1496"},{"url":"u"},3]`): func(f Facts) bool {
			return fmt.Sprint(f.Name, f.Aliases, f.Labels, f.Refs, f.Prose, f.External) == "N[x y] [l] [tool--1 tool--2 tool--3] [d] [T1496]"
		},
		object("opinion", `"opinion":"disagree","explanation":"why","object_refs":{"a_ref":["x"]}`): func(f Facts) bool {
			return f.Opinion == "disagree" && f.Says == "disagree; why" && len(f.Refs) == 0
		},
		// What turns the meaning round stands first, however long the name is.
		object("indicator", `"name":"`+strings.Repeat("n", 300)+`","indicator_types":["Benign"],"labels":["sinkhole"]`): func(f Facts) bool {
			return strings.HasPrefix(f.Says, "benign; sinkhole; nnn") && Benign(f.Says) && Sinkholed(f.Says)
		},
		object("indicator", `"name":"x","description":"benign"`):                    func(f Facts) bool { return !Benign(f.Says) && !Sinkholed(f.Says) },
		object("note", `"abstract":"a","content":"c"`):                              func(f Facts) bool { return f.Says == "a" && len(f.Prose) == 2 },
		object("indicator", `"pattern":"[file:name = 'a']","pattern_type":"sigma"`): func(f Facts) bool { return len(f.Values) == 0 },
		object("indicator", `"pattern":"[file:name = 'a"`):                          func(f Facts) bool { return len(f.Values) == 0 },
		object("indicator", `"pattern":"[url:value = 'http://a.example/\u0022']"`): func(f Facts) bool {
			return len(f.Values) == 1 && f.Values[0].Text == `http://a.example/"`
		},
		object("tool", `"name":"`+strings.Repeat("é", 300)+`","description":"more"`): func(f Facts) bool {
			return len(f.Says) == 200 && utf8.ValidString(f.Says)
		},
	} {
		calls := 0
		err := Scan([]byte("["+object("tool", `"name":"before","description":"d","revoked":true,"labels":["l"],"aliases":["a"],"a_ref":"b"`)+","+doc+"]"), func(n int, raw []byte, f *Facts) error {
			if calls++; n == 1 && (!check(*f) || string(raw) != doc) {
				t.Errorf("%s:\n%+v", doc, *f)
			}
			return nil
		})
		if err != nil || calls != 2 {
			t.Errorf("%s: %d calls, %v", doc, calls, err)
		}
		if f := FactsOf(Object{Raw: []byte(doc)}); !check(f) {
			t.Errorf("alone %s:\n%+v", doc, f)
		}
	}
}

func TestScanStops(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := Scan(benchBundle(3), func(int, []byte, *Facts) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if err := Scan([]byte(`[1]`), func(int, []byte, *Facts) error { return nil }); err == nil {
		t.Error("scanned a number")
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add(AppendBundle(nil, "bundle--63ab8e67-acac-4817-845a-d09f0e86954c", authored()))
	for _, s := range []string{
		object("tool", `"name":"\ud83d\ude00\u12"`), "[1,{}]", `{"objects":[],"type":"x"}`,
		`{"type":"malware","id":"malware--` + someUUID + `",` + someTimes + `}`, `{"type":"\"","id":[[[]]]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		objs, problems, err := ParseBundle(data)
		n := 0
		scanned := Scan(data, func(int, []byte, *Facts) error { n++; return nil })
		if !bytes.Equal(before, data) {
			t.Fatal("the document was changed")
		}
		if err == nil && len(problems) == 0 && (scanned != nil || n != len(objs)) {
			t.Fatalf("%d objects, %d scanned, %v", len(objs), n, scanned)
		}
		// What was accepted is accepted again, and as it is.
		for _, o := range objs {
			again, problems, err := ParseBundle(o.Raw)
			if err != nil || len(problems) > 0 || len(again) != 1 || again[0].Upgraded || again[0].ID != o.ID {
				t.Fatalf("%s: %v %v", o.Raw, problems, err)
			}
			ContentHash(o)
		}
	})
}
