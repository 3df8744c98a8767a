/** Whether `id` is a valid flow id. Ids are part of URL paths, where `.` and `..` have a meaning of their own. */
export function isFlowId(id: string): boolean {
  return /^[A-Za-z0-9._:-]{1,128}$/.test(id) && id !== "." && id !== "..";
}
