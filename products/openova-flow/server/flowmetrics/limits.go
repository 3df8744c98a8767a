package flowmetrics

import "time"

// Limits of what is measured, so that no flow can make /metrics large. What is beyond them is counted as left out.
const (
	maxFlows      = 100   // the first by id
	maxRegions    = 256   // of a flow, the first by name
	maxAllRegions = 2_000 // of all flows
	maxClasses    = 100   // sets of region, class and severity of a flow; problems beyond it are counted as classOther

	maxNodes    = 100   // problems, and suspended nodes, that a flow has by name
	maxAllNodes = 1_000 // problems, and suspended nodes, of all flows
	maxLabel    = 256   // bytes of the value of a label
)

// classOther is the class of problems that are counted without their own.
const classOther = "other"

// Judging a flow costs its size. The result is used again by scrapes that follow soon: by all of them within minAge, and within maxAge while the flow
// has not changed, although judgements change by themselves.
const (
	minAge = time.Second
	maxAge = 10 * time.Second
)
