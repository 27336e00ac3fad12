// An app with the JavaScript client: it places a call and asks by choices, answers a call and plays, and hangs up.
// One line for each callback: the route, the event as the client has parsed it, and what was chosen.
const http = require("http");
const { CallAutomationClient, parseCallAutomationEvent } = require("@azure/communication-call-automation");

const client = new CallAutomationClient(process.argv[2]);
const callee = { phoneNumber: "+15550100002" };
const words = (text) => ({ kind: "textSource", text, voiceName: "en-US-AvaNeural" });
let origin, ended = 0;

const choices = [{ label: "Confirm", phrases: ["Yes", "Confirm"] }, { label: "Cancel", phrases: ["Cancel"] }];
const question = { kind: "callMediaRecognizeChoiceOptions", choices, playPrompt: words("Confirm or cancel?") };

async function called(route, event) {
  console.log(route, event.kind, event.choiceResult ? event.choiceResult.label : "");
  const call = client.getCallConnection(event.callConnectionId);
  // The event that comes behind CallConnected, so that the order of what follows is certain.
  if (event.kind === "ParticipantsUpdated" && route === "placed") await call.getCallMedia().startRecognizing(callee, question);
  if (event.kind === "ParticipantsUpdated" && route === "answered") await call.getCallMedia().playToAll([words("Hello.")]);
  if (event.kind === "RecognizeCompleted" || event.kind === "PlayCompleted") await call.hangUp(true);
  if (event.kind === "CallDisconnected" && ++ended === 2) setImmediate(() => process.exit());
}

const server = http.createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  if (request.url === "/grid") {
    const [event] = JSON.parse(body);
    await client.answerCall(event.data.incomingCallContext, `${origin}/answered`);
    response.end();
  } else {
    await called(request.url.slice(1), parseCallAutomationEvent(JSON.parse(body)));
    response.end();
  }
});

server.listen(0, "127.0.0.1", async () => {
  origin = `http://127.0.0.1:${server.address().port}`;
  console.log(origin);
  await client.createCall({ targetParticipant: callee, sourceCallIdNumber: { phoneNumber: "+15550100001" } }, `${origin}/placed`);
});
