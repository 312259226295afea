-- Posts the lines of a file in turn. Arguments: the file, and where to begin in it (0 to 1).
local requests, turn = {}, 0

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for body in assert(io.open(args[1], "rb")):lines() do
    requests[#requests + 1] = wrk.format(nil, nil, nil, body)
  end
  turn = math.floor(#requests * tonumber(args[2]))
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d\n",
    summary.requests - summary.errors.status, summary.duration, summary.errors.status + lost, latency:percentile(99)))
end
