package stix

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

const (
	someTimes = `"created":"2020-01-01T00:00:00Z","modified":"2020-01-02T00:00:00Z"`
	someUUID  = "8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
	rest21    = `"spec_version":"2.1",` + someTimes
)

// object makes a 2.1 object of a type with further properties.
func object(kind, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"type":%q,"id":"%s--%s",%s%s}`, kind, kind, someUUID, rest21, more)
}

const indicatorRest = `"pattern":"[file:name = 'a']","pattern_type":"stix","valid_from":"2020-01-01T00:00:00Z"`

func TestRefusedObjects(t *testing.T) {
	const mark = `"object_marking_refs":`
	sco := func(kind, more string) string {
		return fmt.Sprintf(`{"type":%q,"id":"%s--%s",%s}`, kind, kind, someUUID, more)
	}
	for doc, want := range map[string]string{
		`{"id":"tool--` + someUUID + `"}`:                  "type missing",
		`{"type":3}`:                                       "type malformed",
		`{"type":"Tool"}`:                                  "type malformed",
		`{"type":"tool"}`:                                  "id missing",
		`{"type":"tool","id":"tool-1"}`:                    "id malformed",
		`{"type":"tool","id":"malware--` + someUUID + `"}`: "id malformed",
		`{"type":"tool","spec_version":"2.1","id":"tool--` + someUUID + `","name":"x"}`: "created missing, modified missing",
		strings.Replace(object("tool", `"name":"x"`), `"2.1"`, `"3.0"`, 1):              "spec_version unsupported",
		strings.Replace(object("tool", `"name":"x"`), "01-02", "01-32", 1):              "modified malformed",
		strings.Replace(object("tool", `"name":"x"`), "2020-01-02", "2019-01-02", 1):    "modified malformed",
		strings.Replace(object("tool", `"name":"x"`), "00Z", "00+01:00", 1):             "created malformed",
		object("tool", ""):                       "name missing",
		object("tool", `"name":""`):              "name malformed",
		object("tool", `"name":["x"]`):           "name malformed",
		object("tool", `"name":"x","labels":[]`): "labels malformed",
		object("tool", `"name":"x","external_references":[{"hashes":{"a":[]}}]`):   "external_references malformed",
		object("tool", `"name":"x","confidence":101`):                              "confidence malformed",
		object("tool", `"name":"x","confidence":1.5`):                              "confidence malformed",
		object("tool", `"name":"x","revoked":"no"`):                                "revoked malformed",
		object("tool", `"name":"x","created_by_ref":"tool--`+someUUID+`"`):         "created_by_ref malformed",
		object("tool", `"name":"x",`+mark+`["TLP:RED"]`):                           "object_marking_refs[0] malformed",
		object("tool", `"name":"x",`+mark+`"TLP:RED"`):                             "object_marking_refs malformed",
		object("indicator", ""):                                                    "pattern missing, pattern_type missing, valid_from missing",
		object("indicator", strings.Replace(indicatorRest, "'a'", "a", 1)):         "pattern malformed",
		object("indicator", indicatorRest+`,"valid_until":"2020-01-01T00:00:00Z"`): "valid_until malformed",
		object("indicator", strings.Replace(indicatorRest, "00Z", "00", 1)):        "valid_from malformed",
		object("opinion", `"opinion":"meh","object_refs":["tool--`+someUUID+`"]`):  "opinion malformed",
		object("note", `"content":"x","object_refs":["tool"]`):                     "object_refs[0] malformed",
		object("report", `"name":"x"`):                                             "published missing, object_refs missing",
		object("grouping", `"context":"x","object_refs":[]`):                       "object_refs malformed",
		object("malware", `"name":"x"`):                                            "is_family missing",
		object("malware", `"is_family":"true"`):                                    "is_family malformed",
		object("relationship", `"relationship_type":"uses","source_ref":"x"`):      "target_ref missing, source_ref malformed",
		object("sighting", ""):                                                     "sighting_of_ref missing",
		object("identity", ""):                                                     "name missing",
		object("location", ""):                                                     "region missing",
		object("observed-data", `"first_observed":"2020-01-01T00:00:00Z","last_observed":"2019-01-01T00:00:00Z","number_observed":1.5`): "number_observed malformed, object_refs missing, last_observed malformed",
		object("marking-definition", ""): "definition missing",
		sco("ipv4-addr", `"x":1`):        "value missing",
		sco("file", `"size":1`):          "hashes missing",
		`{"type":"x-mine","id":"x-mine--` + someUUID + `","created":"2020-01-01T00:00:00Z"}`: "modified missing",
		`[1]`: "[0] malformed",
	} {
		objs, problems, err := ParseBundle([]byte(doc))
		if err != nil || len(objs) != 0 {
			t.Errorf("%s: %d objects, %v", doc, len(objs), err)
			continue
		}
		var got []string
		for _, p := range problems {
			got = append(got, p.Path+" "+p.Code)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s:\n got %v\nwant %s", doc, problems, want)
		}
	}
}

func TestAcceptedObjects(t *testing.T) {
	for _, doc := range []string{
		object("tool", `"name":"x","x_custom":[],"odd":{"a":1}`),
		object("indicator", indicatorRest),
		object("indicator", `"pattern":"rule x {}","pattern_type":"yara","valid_from":"2020-01-01T00:00:00Z"`),
		object("x-mine", `"anything":true`),
		`{"type":"x-mine","id":"x-mine--` + someUUID + `"}`,
		`{"type":"ipv4-addr","id":"ipv4-addr--` + someUUID + `","value":"1.2.3.4"}`,
		`{"type":"process","id":"process--` + someUUID + `","created":"whenever"}`,
		`{"more":false,"objects":[` + object("tool", `"name":"x"`) + `]}`,
		`{"objects":[` + object("tool", `"name":"x"`) + `],"type":"bundle","id":"bundle--` + someUUID + `"}`,
	} {
		objs, problems, err := ParseBundle([]byte(doc))
		if err != nil || len(problems) > 0 || len(objs) != 1 || objs[0].Upgraded {
			t.Errorf("%s: %v %v %v", doc, objs, problems, err)
		}
		if err == nil && len(objs) == 1 && !strings.Contains(doc, string(objs[0].Raw)) {
			t.Errorf("%s: bytes changed to %s", doc, objs[0].Raw)
		}
	}
	if objs, problems, err := ParseBundle([]byte(`{"type":"bundle","id":"bundle--` + someUUID + `"}`)); len(objs)+len(problems) > 0 || err != nil {
		t.Error("a bundle of nothing is refused", problems, err)
	}
}

func TestUnusableDocuments(t *testing.T) {
	for doc, want := range map[string]string{
		"":                           "line 1, byte 0: unexpected EOF",
		"[":                          "line 1, byte 1",
		"3":                          "neither a bundle",
		"{\n\"type\":\"tool\",\n}":   "line 2, byte 15",
		"<{}>":                       "line 1, byte 0",
		`{"type":"tool","type":"x"}`: "line 1, byte 15: ",
		"{\"type\":\"t\xffol\"}":     "line 1, byte 10",
		`[{"a":{"b":1,"b":2}}]`:      "duplicate",
		`{} {}`:                      "line 1, byte 4",
		`{"type":"bundle","objects":[` + strings.Repeat(`{"a":[`, 40) + strings.Repeat(`]}`, 40) + `]}`: "nested deeper than 64",
		strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat(`}`, 70):                                     "nested deeper than 64",
		strings.Repeat(`[`, 100_000): "read stix",
	} {
		_, _, err := ParseBundle([]byte(doc))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %s", doc, err, want)
		}
		err = Scan([]byte(doc), func(int, []byte, *Facts) error { return nil })
		if err == nil {
			t.Errorf("%.60q: scanned", doc)
		}
	}
}

func TestLimits(t *testing.T) {
	big := object("tool", `"name":"`+strings.Repeat("x", MaxObjectBytes)+`"`)
	doc := []byte(`{"type":"bundle","objects":[` + big + "," + object("tool", `"name":"x"`) + `]}`)
	objs, problems, err := ParseBundle(doc)
	if err != nil || len(objs) != 1 || len(problems) != 1 || problems[0].Code != CodeTooLarge || problems[0].Path != "objects[0]" {
		t.Errorf("%d objects, %v, %v", len(objs), problems, err)
	}
	if err := Scan(doc, func(int, []byte, *Facts) error { return nil }); err == nil {
		t.Error("scanned an object that is too large")
	}
	many := []byte("[" + strings.Repeat("0,", MaxObjects) + "0]")
	if err := walk(many, func(span) error { return nil }); err == nil || !strings.Contains(err.Error(), "more than 1000000 objects") {
		t.Error(err)
	}
}

func TestSameIDTwice(t *testing.T) {
	one := object("tool", `"name":"x"`)
	spaced := strings.Replace(one, ",", " ,\n", -1)
	other := object("tool", `"name":"y"`)
	later := strings.Replace(other, "01-02", "01-03", 1)
	objs, problems, err := ParseBundle([]byte("[" + strings.Join([]string{one, spaced, other, later}, ",") + "]"))
	if err != nil || len(objs) != 2 || len(problems) != 2 ||
		problems[0].Code != CodeRepeated || problems[1].Code != CodeDuplicate || problems[1].Path != "[2].id" {
		t.Errorf("%d objects, %v, %v", len(objs), problems, err)
	}
}

func TestUpgrade(t *testing.T) {
	for before, after := range map[string]string{
		`{"type":"indicator","id":"indicator--U",T,"labels":["x"],"pattern":"[file:name = 'a']","valid_from":"2020-01-01T00:00:00Z"}`: `{"spec_version":"2.1","pattern_type":"stix","type":"indicator","id":"indicator--U",T,"labels":["x"],"pattern":"[file:name = 'a']","valid_from":"2020-01-01T00:00:00Z"}`,
		`{"type":"malware","id":"malware--U",T,"name":"x"}`:                                                                           `{"spec_version":"2.1","is_family":true,"type":"malware","id":"malware--U",T,"name":"x"}`,
		`{ "type":"tool","id":"tool--U",T,"name":"x"}`:                                                                                `{"spec_version":"2.1", "type":"tool","id":"tool--U",T,"name":"x"}`,
		`{"type":"malware","spec_version" : "2.0","id":"malware--U",T,"name":"x"}`:                                                    `{"is_family":true,"type":"malware","spec_version" : "2.1","id":"malware--U",T,"name":"x"}`,
		`{"type":"tool","id":"tool--U","spec_version":"2\u002e0",T,"name":"x"}`:                                                       `{"type":"tool","id":"tool--U","spec_version":"2.1",T,"name":"x"}`,
	} {
		fill := strings.NewReplacer("--U", "--"+someUUID, "T,", someTimes+",").Replace
		objs, problems, err := ParseBundle([]byte(fill(before)))
		if err != nil || len(problems) > 0 || len(objs) != 1 {
			t.Errorf("%s: %v %v", before, problems, err)
			continue
		}
		if got := string(objs[0].Raw); got != fill(after) || !objs[0].Upgraded {
			t.Errorf("got  %s\nwant %s", got, fill(after))
		}
		again, problems, err := ParseBundle(objs[0].Raw)
		if err != nil || len(problems) > 0 || again[0].Upgraded {
			t.Errorf("the upgraded object: %v %v", problems, err)
		}
	}
}

// TestInvalidFiles goes through OASIS's own examples of what is wrong, and of
// what looks wrong and is not.
func TestInvalidFiles(t *testing.T) {
	const dir = "stix-invalid/oasis-open+cti-stix-validator/stix2validator/test/v21/test_examples/"
	for name, want := range map[string]string{
		"invalid_braces.json":    "read stix: line 1, byte 0",
		"invalid_comma.json":     "read stix: line 8, byte 260",
		"invalid_identity.json":  "modified is required",
		"invalid_timestamp.json": "earlier than created",
		"identity.json":          "", "identity_custom.json": "", "identity_unicode.json": "",
		"identity_warning.json": "", "tlp-amber.json": "", "tool.json": "",
	} {
		data := dataBytes(t, path.Join(dir, name))
		objs, problems, err := ParseBundle(data)
		got := fmt.Sprint(problems)
		if err != nil {
			got = err.Error()
		}
		if want == "" && (got != "[]" || len(objs) != 1) || !strings.Contains(got, want) {
			t.Errorf("%s: %d objects, %s; want %s", name, len(objs), got, want)
		}
	}
}
