// The interop server on Ktor: same paths as the other servers (see ../../servers/__init__.py).

import io.ktor.http.ContentType
import io.ktor.http.HttpStatusCode
import io.ktor.server.application.install
import io.ktor.server.cio.CIO
import io.ktor.server.engine.embeddedServer
import io.ktor.server.response.respondText
import io.ktor.server.routing.get
import io.ktor.server.routing.routing
import io.ktor.server.websocket.DefaultWebSocketServerSession
import io.ktor.server.websocket.WebSockets
import io.ktor.server.websocket.webSocket
import io.ktor.server.websocket.webSocketRaw
import io.ktor.websocket.CloseReason
import io.ktor.websocket.Frame
import io.ktor.websocket.WebSocketDeflateExtension
import io.ktor.websocket.close
import io.ktor.websocket.readBytes
import io.ktor.websocket.readReason
import io.ktor.websocket.readText
import io.ktor.websocket.send
import java.util.concurrent.ConcurrentHashMap
import kotlin.concurrent.thread
import kotlin.system.exitProcess
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.runBlocking

private val closures = ConcurrentHashMap<String, CompletableDeferred<String>>()

private fun closure(id: String?) = closures.computeIfAbsent(id.orEmpty()) { CompletableDeferred() }

private suspend fun DefaultWebSocketServerSession.echo() {
    for (frame in incoming) {
        when (frame) {
            is Frame.Text -> send(frame.readText())
            is Frame.Binary -> send(frame.readBytes())
            else -> error("a default session delivers no ${frame.frameType}")
        }
    }
}

fun main() {
    val server = embeddedServer(CIO, port = 0, host = "127.0.0.1") {
        install(WebSockets) { extensions { install(WebSocketDeflateExtension) } }
        routing {
            get("/hello") { call.respondText("hello from ktor") }
            get("/refuse") {
                call.respondText("no entry", ContentType.Text.Plain, HttpStatusCode.Forbidden)
            }
            get("/recorded") { call.respondText(closure(call.parameters["id"]).await()) }
            webSocket("/echo") { echo() }
            webSocket("/close") { close(CloseReason(4001, "bye")) }
            webSocket("/count") {
                repeat(call.parameters["n"]!!.toInt()) { send("$it") }
                close(CloseReason(CloseReason.Codes.NORMAL, "done"))
            }
            webSocket("/subprotocol", protocol = "v2.interop") { echo() }
            webSocket("/subprotocol", protocol = "v1.interop") { echo() }
            webSocket("/record") {
                for (frame in incoming) Unit
                val reason = closeReason.await()!!
                closure(call.parameters["id"]).complete("${reason.code} ${reason.message}".trim())
            }
            webSocketRaw("/ping") {
                send(Frame.Ping("are you there".encodeToByteArray()))
                for (frame in incoming) {
                    if (frame is Frame.Pong) send("pong: ${frame.readBytes().decodeToString()}")
                    if (frame is Frame.Close) {
                        close(frame.readReason() ?: CloseReason(CloseReason.Codes.NORMAL, ""))
                        break
                    }
                }
            }
        }
    }
    server.start(wait = false)
    println("PORT ${runBlocking { server.engine.resolvedConnectors().single().port }}")
    System.out.flush()
    thread { // the test run holds our standard input open; when it ends, however it ends, so do we
        while (System.`in`.read() != -1) Unit
        exitProcess(0)
    }
}
