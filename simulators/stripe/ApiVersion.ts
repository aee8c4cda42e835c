/** The only version whose shapes the simulator speaks; `stripe` 23.1.0 sends it by default. */
export const API_VERSION = "2026-10-28.endive"
