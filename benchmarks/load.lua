-- One event a request, each of another call. The file with the event and the mark for its number comes as arguments.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  template, mark = file:read("*a"), args[2]
  file:close()
  parts = {}
  local from = 1
  while true do
    local first, last = template:find(mark, from, true)
    if not first then break end
    parts[#parts + 1] = template:sub(from, first - 1)
    from = last + 1
  end
  parts[#parts + 1] = template:sub(from)
  number = tonumber(args[3])
end

function request()
  number = number + 1
  -- The last digit first: ids of calls come in no order, and so they find their place in an index.
  return table.concat(parts, string.format("%012x", number):reverse())
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "errors": %d, "p50_us": %.0f, "p99_us": %.0f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
