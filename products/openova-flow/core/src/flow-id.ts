/** Whether `id` may be a flow's. It stands in URL paths, where `.` and `..` would be steps. */
export function isFlowId(id: string): boolean {
  return /^[A-Za-z0-9._:-]{1,128}$/.test(id) && id !== "." && id !== "..";
}
