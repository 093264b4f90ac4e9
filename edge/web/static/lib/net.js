/** Requests to the daemon: JSON both ways, its errors as ApiError, patient where that is safe. */

const TIMEOUT_MS = 8000;
const RETRY_MS = [500, 1000, 2000, 4000];

/** What the daemon refused. code is "network" where no answer came at all. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status; 0 without an answer
   * @param {string} code
   * @param {string} message
   * @param {any} [body] the whole answer
   */
  constructor(status, code, message, body) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = body;
  }
}

/**
 * @param {string} path
 * @param {{timeoutMs?: number}} [options]
 * @returns {Promise<any>}
 */
export function getJson(path, options = {}) {
  return request("GET", path, undefined, options);
}

/**
 * Sends JSON. The X-Stock header makes a browser ask before another site could send it.
 * @param {"POST" | "PUT" | "DELETE"} method
 * @param {string} path
 * @param {any} [body]
 * @param {{headers?: Record<string, string>, timeoutMs?: number}} [options]
 * @returns {Promise<any>}
 */
export function send(method, path, body = {}, options = {}) {
  return request(method, path, body, options);
}

/**
 * Sends what may be sent twice (it carries an action_id), again and again while no answer comes.
 * @param {string} path
 * @param {any} body
 */
export async function sendSurely(path, body) {
  for (const wait of RETRY_MS) {
    try {
      return await send("POST", path, body);
    } catch (error) {
      const passing = error instanceof ApiError && (error.status === 0 || error.status >= 502);
      if (!passing) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  return send("POST", path, body);
}

/** @returns {string} 128 random bits; crypto.randomUUID is missing on plain http. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function request(method, path, body, { headers = {}, timeoutMs = TIMEOUT_MS } = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeoutMs);
  let response;
  let answer = null;
  try {
    response = await fetch(path, {
      method,
      headers:
        method === "GET"
          ? headers
          : { "Content-Type": "application/json", "X-Stock": "1", ...headers },
      body: method === "GET" ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      signal: limit.signal,
    });
    answer = parse(await response.text());
  } catch {
    throw new ApiError(0, "network", "no answer came");
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return answer;
  const told = answer?.error ?? {};
  const problem = new ApiError(
    response.status,
    told.code ?? `http_${response.status}`,
    told.message ?? "",
    answer,
  );
  if (response.status === 401 && problem.code === "sign_in")
    dispatchEvent(new Event("stock-sign-in"));
  throw problem;
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null; // a proxy's page instead of ours: the status says enough
  }
}
