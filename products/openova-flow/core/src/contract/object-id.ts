/** The namespace that is omitted from the ids of HelmReleases. */
export const HOME = "flux-system";

/**
 * Parses an id of the Flux adapter: <region>/<Kind>/<namespace>/<name>, or <region>/<namespace>/<name> for a HelmRelease, or
 * <region>/<name> for a HelmRelease in HOME.
 */
export function objectOf(region: string, id: string): { readonly kind: string; readonly namespace: string; readonly name: string } | undefined {
  if (region === "" || !id.startsWith(`${region}/`)) return undefined;
  const [name = "", namespace = HOME, kind = "HelmRelease", ...more] = id.slice(region.length + 1).split("/").reverse();
  return more.length > 0 ? undefined : { kind, namespace, name };
}
