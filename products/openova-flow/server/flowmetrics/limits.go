package flowmetrics

import "time"

// Limits of the samples, so that no flow can make /metrics large. The rest is counted as left out, or as classOther.
const (
	maxFlows      = 100   // the first by id
	maxRegions    = 256   // of a flow, the first by name
	maxAllRegions = 2_000 // of all flows
	maxClasses    = 100   // sets of region, class and severity of a flow

	maxNodes    = 100   // problems of a flow with samples of their own; also for suspended nodes
	maxAllNodes = 1_000 // the same, of all flows
	maxLabel    = 256   // bytes of the value of a label
)

// classOther is the class of problems that exceed maxClasses, or whose own class exceeds maxLabel.
const classOther = "other"

// Judging a flow takes time proportional to its size, so scrapes of the same incarnation use a result again: within minAge always, within maxAge if the flow
// has not changed. Without changes it is judged again too, since judgements change with time.
const (
	minAge = time.Second
	maxAge = 10 * time.Second
)
