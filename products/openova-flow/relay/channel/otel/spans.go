package otel

import (
	"cmp"
	"crypto/sha256"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

// Attributes without a semantic convention.
const (
	attrObject      = attribute.Key("openova.flow.object")       // Kind/namespace/name
	attrNode        = attribute.Key("openova.flow.node")         // id of the node
	attrFlow        = attribute.Key("openova.flow.id")           // id of the flow
	attrVersionFrom = attribute.Key("openova.flow.version.from") // chart versions
	attrVersionTo   = attribute.Key("openova.flow.version.to")
	attrOutcome     = attribute.Key("openova.flow.outcome")
	attrLink        = attribute.Key("openova.flow.url")
)

// maxEvents is the maximum number of events of a span, the default of OpenTelemetry's SDKs.
const maxEvents = 128

// builder makes the spans of one rollout.
type builder struct {
	n       *notice.Notice
	traceID trace.TraceID
	members map[string]bool // ids of the members that have a span
	stubs   tracetest.SpanStubs
}

// spansOf returns the trace of a rollout that has ended. Equal notices make equal traces.
func spansOf(n *notice.Notice) tracetest.SpanStubs {
	b := &builder{n: n, members: make(map[string]bool)}
	sum := sha256.Sum256([]byte("rollout\x00" + n.Flows[0] + "\x00" + n.Rollout.ID))
	copy(b.traceID[:], sum[:])
	start := n.Since
	for i := range n.Rollout.Members {
		m := &n.Rollout.Members[i]
		if begin := begins(m); begin != 0 {
			b.members[m.ID] = true
			start = min(start, begin) // a member may have waited before the rollout began
		}
	}
	root := b.span("", "", "rollout "+n.Flows[0], start, n.Until)
	root.Attributes = []attribute.KeyValue{
		semconv.DeploymentID(n.Rollout.ID), semconv.DeploymentName(n.Flows[0]), attrFlow.String(n.Flows[0]), attrOutcome.String(n.Rollout.Outcome),
	}
	if n.Link != "" {
		root.Attributes = append(root.Attributes, attrLink.String(n.Link))
	}
	switch n.Rollout.Outcome {
	case "succeeded":
		root.Attributes = append(root.Attributes, semconv.DeploymentStatusSucceeded)
		root.Status = sdk.Status{Code: codes.Ok}
	case "failed":
		root.Attributes = append(root.Attributes, semconv.DeploymentStatusFailed)
		root.Status = sdk.Status{Code: codes.Error, Description: n.Sentence}
	}
	b.stubs = append(b.stubs, root)
	for i := range n.Rollout.Members {
		b.member(&n.Rollout.Members[i])
	}
	return b.stubs
}

// context returns the identity of a span. node is empty for the root; part is empty for the root and for the run of a node.
func (b *builder) context(node, part string) trace.SpanContext {
	sum := sha256.Sum256([]byte("span\x00" + b.traceID.String() + "\x00" + node + "\x00" + part))
	var id trace.SpanID
	copy(id[:], sum[:])
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: b.traceID, SpanID: id, TraceFlags: trace.FlagsSampled})
}

// span returns a span from one instant to another, in Unix milliseconds. It ends no earlier than it begins.
func (b *builder) span(node, part, name string, from, to int64) tracetest.SpanStub {
	return tracetest.SpanStub{
		Name: name, SpanContext: b.context(node, part), SpanKind: trace.SpanKindInternal, StartTime: time.UnixMilli(from), EndTime: time.UnixMilli(max(from, to)),
		Resource:             resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName("openova-flow")),
		InstrumentationScope: instrumentation.Scope{Name: "github.com/openova-io/openova/products/openova-flow/relay"},
	}
}

// begins returns when a member began to wait or to run, 0 if it did neither.
func begins(m *notice.Member) int64 {
	if m.StartedAt != 0 && m.WaitingSince != 0 {
		return min(m.StartedAt, m.WaitingSince)
	}
	return cmp.Or(m.StartedAt, m.WaitingSince)
}

func (b *builder) member(m *notice.Member) {
	begin := begins(m)
	if begin == 0 {
		return
	}
	end := cmp.Or(m.EndedAt, b.n.Until)
	s := b.span(m.ID, "", m.Label, begin, end)
	s.Parent = b.context("", "")
	s.Attributes = attributes(m)
	if m.Status == "failed" {
		s.Status = sdk.Status{Code: codes.Error, Description: m.Failure}
	}
	if m.Failure != "" {
		failure := sdk.Event{Name: "exception", Time: time.UnixMilli(m.FailedAt),
			Attributes: []attribute.KeyValue{semconv.ExceptionType("failure"), semconv.ExceptionMessage(m.Failure), attrNode.String(m.ID)}}
		if m.FailedAt >= begin {
			s.Events = append(s.Events, failure)
		} else if len(b.stubs[0].Events) < maxEvents { // the failure of an earlier run: an event of the root
			b.stubs[0].Events = append(b.stubs[0].Events, failure)
		}
	}
	for _, need := range m.Needs {
		if b.members[need] {
			s.Links = append(s.Links, sdk.Link{SpanContext: b.context(need, ""), Attributes: []attribute.KeyValue{attrNode.String(need)}})
		}
	}
	b.stubs = append(b.stubs, s)
	if m.WaitingSince != 0 && (m.StartedAt == 0 || m.WaitingSince < m.StartedAt) {
		w := b.span(m.ID, "waiting", "waiting", m.WaitingSince, cmp.Or(m.StartedAt, end))
		w.Parent = s.SpanContext
		b.stubs = append(b.stubs, w)
	}
}

func attributes(m *notice.Member) []attribute.KeyValue {
	all := []attribute.KeyValue{attrNode.String(m.ID), attrOutcome.String(m.Status)}
	set := func(key attribute.Key, value string) {
		if value != "" {
			all = append(all, key.String(value))
		}
	}
	set(semconv.K8SClusterNameKey, m.Region)
	set(attrObject, m.Object)
	if parts := strings.Split(m.Object, "/"); len(parts) == 3 {
		set(semconv.K8SNamespaceNameKey, parts[1])
	}
	set(attrVersionFrom, m.VersionFrom)
	set(attrVersionTo, m.VersionTo)
	if name, digest, ok := strings.Cut(m.Revision, "@"); ok {
		if _, commit, ok := strings.Cut(digest, ":"); ok && m.Source != "" {
			set(semconv.VCSRefHeadNameKey, name)
			set(semconv.VCSRefHeadRevisionKey, commit)
			set(semconv.VCSRepositoryURLFullKey, m.Source)
		}
	}
	return all
}
