package api

import (
	"fmt"
	"net/http"
)

// The codes of errors: a closed list.
const (
	CodeInvalid     = "invalid"     // wrong command line or input
	CodeDenied      = "denied"      // a rule forbids it
	CodeNotFound    = "not_found"   // no such thing
	CodeConflict    = "conflict"    // changed meanwhile, or already so
	CodeUnavailable = "unavailable" // not reachable: no node, no peer, no signatures yet
	CodePartial     = "partial"     // partly done
	CodeInternal    = "internal"    // a fault of ours
)

// codes is the one table of codes, exit codes and HTTP statuses.
var codes = []struct {
	code   string
	exit   int
	status int
}{
	{CodeInvalid, 2, http.StatusBadRequest},
	{CodeDenied, 3, http.StatusForbidden},
	{CodeNotFound, 4, http.StatusNotFound},
	{CodeConflict, 5, http.StatusConflict},
	{CodeUnavailable, 6, http.StatusServiceUnavailable},
	{CodePartial, 7, http.StatusMultiStatus},
	{CodeInternal, 8, http.StatusInternalServerError},
}

// Exit codes of the command line that no coded error stands for.
const (
	ExitDone    = 0
	ExitNothing = 1 // done, and the answer is no, nothing or different
)

// Error is an error as the API and the command line tell it.
type Error struct {
	Kind    string `json:"kind"` // error
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// LeftOut tells why nothing of an input could be used.
	LeftOut []LeftOut `json:"left_out,omitempty"`
	// Candidates are the full names that a short one may mean.
	Candidates []Candidate `json:"candidates,omitempty"`
}

// Candidate is one meaning of an ambiguous short name.
type Candidate struct {
	Ref  string `json:"ref"`
	ID   string `json:"id"`
	Type string `json:"type"`
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Exit is the exit code of the error's code.
func (e *Error) Exit() int { return exitOf(e.Code) }

// Errorf makes an error of a code.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Kind: "error", Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint says what to do about the error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func exitOf(code string) int {
	for _, c := range codes {
		if c.code == code {
			return c.exit
		}
	}
	return exitOf(CodeInternal)
}

func statusOf(code string) int {
	for _, c := range codes {
		if c.code == code {
			return c.status
		}
	}
	return http.StatusInternalServerError
}
