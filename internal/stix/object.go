package stix

import (
	"encoding/json"
	"time"
)

// Object is one STIX object: what every reader needs of it, and all of it.
type Object struct {
	Type, ID string
	// Created and Modified are zero for observables, which have neither;
	// Modified is zero for marking definitions.
	Created, Modified time.Time
	CreatedBy         string
	Revoked           bool
	// Upgraded tells that this came as STIX 2.0 and that Raw is not what its
	// author wrote: see ParseBundle.
	Upgraded bool
	// Raw is the object as it came, never re-marshalled.
	Raw json.RawMessage
}
