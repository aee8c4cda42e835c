/** The only API version that the simulator supports; `stripe` 23.1.0 sends it by default. */
export const apiVersion = "2026-10-28.endive"
