// Code that the first drawing of a flow does not need. It is loaded as one chunk, for the map or an export.
export { toPNG, toSVG } from "./export.js";
export { MapLayer } from "./minimap.js";
