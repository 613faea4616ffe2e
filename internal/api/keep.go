package api

import (
	"strconv"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// clockOffMost is how far off a clock may be for a share that is to be let go
// after a time: the time is told by the clock of who shares.
const clockOffMost = 24 * time.Hour

// parseKeep reads after how many weeks a share is let go by all who hold it.
func (s *Server) parseKeep(text string) (weeks uint64, err error) {
	if text == "" {
		return 0, nil
	}
	if weeks, err = strconv.ParseUint(text, 10, 16); err != nil || weeks < 1 || weeks > protocol.MaxRetention {
		return 0, Errorf(CodeInvalid, "keep %.40q: want 1 to %d weeks", text, protocol.MaxRetention)
	}
	if ahead, known := s.n.ClockOff(); known && ahead.Abs() > clockOffMost {
		return 0, Errorf(CodeDenied, "clock: this node's clock is %s off the others', and would tell them when to let it go", ahead.Abs().Round(time.Minute)).
			WithHint("set the clock, or leave --keep out")
	}
	return weeks, nil
}

// keptFor is the retention class under which the withdrawal of entries goes: no
// shorter than theirs, 0 for good.
func (s *Server) keptFor(places []store.Place) (weeks uint64) {
	for i, p := range places {
		h, err := s.n.Store().Header(p)
		if err != nil || h.Retention == 0 {
			return 0
		}
		if i == 0 || h.Retention > weeks {
			weeks = h.Retention
		}
	}
	return weeks
}
