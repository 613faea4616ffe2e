package main

import (
	"fmt"

	"github.com/tipmesh/tipmesh/internal/api"
)

const mostQuotas = 3 // members told of, the largest

// sayQuotas tells what others take of the disk, and who has reached a quota.
func sayQuotas(gopts *GlobalOptions, q *api.Quotas) {
	if len(q.Members) == 0 {
		return
	}
	list := []string{fmt.Sprintf("others %s of %s", bytesText(q.UsedBytes), bytesText(q.AllBytes))}
	for _, u := range q.Members[:min(len(q.Members), mostQuotas)] {
		text := fmt.Sprintf("%s %s of %s", nameOf(&u.Member), bytesText(u.UsedBytes), bytesText(u.LimitBytes))
		if u.Over {
			text += fmt.Sprintf(": full, %s not held", plural(u.Absent, "payload", "payloads"))
		}
		list = append(list, text)
	}
	if more := len(q.Members) - mostQuotas; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	gopts.sayf("Disk      %s", wrap(list, ";", 80, 10))
}
