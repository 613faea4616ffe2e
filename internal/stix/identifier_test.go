package stix

import (
	"testing"
	"time"
)

func TestObservableID(t *testing.T) {
	for _, c := range []struct {
		kind  string
		props map[string]any
		want  string
	}{
		{"ipv4-addr", map[string]any{"value": "198.51.100.3", "resolves_to_refs": 1}, "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"},
		{"file", map[string]any{"hashes": map[string]any{"SHA-256": "a", "MD5": "b"}}, ObservableID("file", map[string]any{"hashes": map[string]string{"MD5": "b"}, "size": 3})},
		// What OASIS's python-stix2 makes of these.
		{"file", map[string]any{"hashes": map[string]string{
			"SHA-256": "fe90a7e910cb3a4739bed9180e807e93fa70c90f25a8915476f5e4bfbac681db", "SHA-1": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		}, "name": "foo.dll", "size": 3}, "file--de3e9dfd-e1b7-5c05-badd-456f32f095bc"},
		{"network-traffic", map[string]any{
			"protocols": []string{"tcp"}, "src_port": 80, "dst_ref": "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4",
		}, "network-traffic--16ae0186-7683-5a02-84d7-1e9f6e3bd8f0"},
		{"email-addr", map[string]any{"value": "a@b.example", "display_name": "x"}, "email-addr--20f95e88-019c-5ac7-a027-aba10fdcb3ca"},
		{"domain-name", map[string]any{"value": "größe.example"}, "domain-name--ac5bdd11-d161-5414-a174-b74fd07ed819"},
		{"url", map[string]any{"value": "http://a.example/?a=<b>&c"}, "url--0671483c-440e-5571-bc55-983aac9f80c0"},
		{"process", map[string]any{"pid": 1}, ""},
		{"file", map[string]any{"size": 1}, ""},
		{"file", map[string]any{"hashes": map[string]any{}}, ""},
		{"x-mine", map[string]any{"value": "x"}, ""},
		{"url", map[string]any{"value": func() {}}, ""},
	} {
		if got := ObservableID(c.kind, c.props); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.kind, c.props, got, c.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2020-01-02T03:04:05Z":              time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC),
		"2020-01-02T03:04:05.6Z":            time.Date(2020, 1, 2, 3, 4, 5, 6e8, time.UTC),
		"2020-01-02T03:04:05.123456789012Z": time.Date(2020, 1, 2, 3, 4, 5, 123456789, time.UTC),
		"2016-12-31T23:59:60Z":              time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"2020-02-29T00:00:00Z":              time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999Z":          time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
	} {
		if got, err := ParseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "2020-01-02", "2020-01-02T03:04:05", "2020-01-02T03:04:05+00:00", "2020-01-02 03:04:05Z", "2020-01-02t03:04:05z",
		"2020-02-30T00:00:00Z", "2020-13-01T00:00:00Z", "2020-01-00T00:00:00Z", "2020-01-02T24:00:00Z", "2020-01-02T03:04:05.Z",
		"2020-01-02T03:04:05.xZ", "2020-01-02T03:60:05Z", "0000-01-02T03:04:05Z", "2020-01-02T03:04:05,5Z",
	} {
		if got, err := ParseTime(s); err == nil {
			t.Errorf("%s: %s", s, got)
		}
	}
}
