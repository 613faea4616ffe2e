// Package verdict makes one word of what members say about a value: malicious,
// suspicious, disputed, harmless or unknown, with a confidence and with
// reasons. Look-ups answer with it.
//
// It is a function: no clock, no I/O, nothing kept. It promises:
//
//   - The order of what comes in does not matter.
//   - A further source that agrees never lowers the confidence.
//   - Dissent is never outvoted in silence: whoever disagrees has a reason of
//     their own, however many agree.
//   - What is revoked, past its time or older than its lifetime does not count.
//   - One source of reliability D, E or F is never enough for malicious.
//   - Lists and sinkholes never make anything worse: only members do. A
//     warninglist turns malicious and suspicious into disputed, and unknown
//     into harmless.
//
// # How it is computed
//
// Each source weighs reliability x confidence x age, between 0 and 1. Independent
// sources weigh 1 - (1-a)(1-b)... together: this is support, and it is the
// confidence. Dissent is added up in the same way. Copies of one origin are
// one source; one member is one source too, whatever origins it names.
//
//	malicious   support of claims of malice is Likely or more
//	suspicious  anything less that somebody claims
//	disputed    a claim, and: a warninglist, or dissent of Likely or more, or
//	            dissent no lighter than the support
//	harmless    no claim, and: a warninglist, or a denial of Likely or more
//	unknown     nothing that counts
//
// # The weights, and where they come from
//
//	A, B, C, D    95, 75, 50, 25 in a hundred: the numbers of MISP's taxonomy
//	              admiralty-scale, save that its 100 for A would let one source
//	              settle everything; 95 is estimative-language's "almost
//	              certain".
//	E             5. MISP has 0. Ours: a claim is not to be lost, it stays
//	              suspicious.
//	F             30. MISP has 50. Ours: F is what every newcomer has, and it
//	              has to be under Likely at any confidence.
//	us            as A. Ours.
//	confidence    STIX's 0 to 100 as it is. Absent: 70, the lower end of STIX's
//	              High: members share what they mean. Ours.
//	Likely        50: likelier than not (estimative-language has "likely" from
//	              55, "roughly even" at 45). Ours.
//	opinions      agree and disagree 60, strongly 90. Ours, so that one plain
//	              disagreement of an A suffices for disputed and a C's does not.
//	suspicious    half of what it were as malicious. Ours.
//	age           1 - (elapsed/lifetime)^3: MISP's polynomial decay with a
//	              delta of 1/3. MISP's defaults fall faster at first; here two
//	              thirds of the lifetime cost less than a third. Ours.
//	sightings     0. They tell that something is in use, not that it is bad:
//	              what everyone has in its logs would become the worst of all.
//	              They renew half of the lifetime (as in MISP they renew age).
//	lifetimes     are the caller's: see internal/lifetime.
package verdict
