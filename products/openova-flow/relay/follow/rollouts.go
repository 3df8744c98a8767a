package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/rollout"
)

// maxRollouts bounds an answer of the server.
const maxRollouts = 64 << 20

// ErrNoFlow is the error of Rollouts for a flow that does not exist.
var ErrNoFlow = errors.New("the flow does not exist")

// Rollouts returns the rollouts of a flow as the server and the page count them, newest first.
func (s *Server) Rollouts(ctx context.Context, flowID string) ([]rollout.Rollout, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := s.request(ctx, "/v1/flows/"+url.PathEscape(flowID)+"/rollouts")
	if err != nil {
		return nil, err
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the rollouts of flow %s: %w", flowID, s.plain(ctx, err))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, ErrNoFlow
	default:
		return nil, fmt.Errorf("read the rollouts of flow %s: %w", flowID, refused(resp))
	}
	var answer struct{ Rollouts []rollout.Rollout }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRollouts)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read the rollouts of flow %s: %w", flowID, err)
	}
	return answer.Rollouts, nil
}
