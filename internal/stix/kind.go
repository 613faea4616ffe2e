package stix

import "strings"

// kindOf names the kind of observable that text is, compared at path. It
// looks at the text as well where the path leaves it open, and where people
// are known to put addresses under domain-name:value. "" is: nothing that is
// looked up by value.
func kindOf(path, text string) string {
	switch path {
	case "ipv4-addr:value", "ipv6-addr:value", "domain-name:value",
		"network-traffic:src_ref.value", "network-traffic:dst_ref.value",
		"domain-name:resolves_to_refs[*].value":
		return hostKind(path, text)
	case "url:value":
		return "url"
	case "email-addr:value", "email-message:from_ref.value", "email-message:sender_ref.value",
		"email-message:to_refs[*].value", "email-message:cc_refs[*].value", "email-message:bcc_refs[*].value":
		return "email"
	case "file:name", "process:image_ref.name", "process:binary_ref.name",
		"email-message:body_multipart[*].body_raw_ref.name":
		return "filename"
	case "file:hashes.SHA-256":
		return "sha256"
	}
	if i := strings.LastIndex(path, "hashes."); i > 0 && (path[i-1] == ':' || path[i-1] == '.') {
		return hashKind(path[i+len("hashes."):])
	}
	return ""
}

// hostKind tells addresses from names. An address keeps its kind when it
// carries a prefix length: the caller's normaliser makes it a network.
func hostKind(path, text string) string {
	switch {
	case strings.IndexByte(text, ':') >= 0 && path != "domain-name:value":
		return "ipv6"
	case dotted(text):
		return "ipv4"
	case path == "ipv4-addr:value":
		return "ipv4"
	case path == "ipv6-addr:value":
		return "ipv6"
	}
	return "domain"
}

// dotted tells whether s is made like an IPv4 address, with or without a
// prefix length: only digits, three dots, perhaps a slash.
func dotted(s string) bool {
	if s == "" || len(s) > 18 || s[0] < '0' || s[0] > '9' {
		return false
	}
	dots := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			dots++
		case c == '/' || c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return dots == 3
}

// hashKind maps the many spellings of a hash algorithm's name.
func hashKind(name string) string {
	switch strings.ToLower(strings.NewReplacer("-", "", "_", "", "'", "").Replace(name)) {
	case "md5":
		return "md5"
	case "sha1":
		return "sha1"
	case "sha256":
		return "sha256"
	case "sha512":
		return "sha512"
	}
	return ""
}
