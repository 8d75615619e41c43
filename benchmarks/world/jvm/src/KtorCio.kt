// Ktor's client on its CIO engine.

import io.ktor.client.HttpClient
import io.ktor.client.engine.cio.CIO
import io.ktor.client.plugins.websocket.DefaultClientWebSocketSession
import io.ktor.client.plugins.websocket.WebSockets
import io.ktor.client.plugins.websocket.webSocketSession
import io.ktor.websocket.Frame
import io.ktor.websocket.close
import io.ktor.websocket.readBytes
import io.ktor.websocket.readText
import io.ktor.websocket.send
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.withTimeoutOrNull

/** After about one close in a hundred `closeReason` never completes (3.6.1), though the socket is closed. */
private val LOST_CLOSE = 100.milliseconds

private class KtorSession(private val session: DefaultClientWebSocketSession) : Session {
    override suspend fun send(message: Message) {
        if (message.binary) session.send(message.bytes) else session.send(message.text)
    }

    override suspend fun receive(count: Int, answer: Message?, trigger: suspend () -> Unit): Int {
        trigger()
        var left = count
        for (frame in session.incoming) {
            val length = when (frame) {
                is Frame.Text -> frame.readText().length
                is Frame.Binary -> frame.readBytes().size
                else -> error("a default session delivers no ${frame.frameType}")
            }
            if (--left == 0) return length
            if (answer != null) send(answer)
        }
        error("the server has closed: ${session.closeReason.await()}")
    }

    override suspend fun close() {
        session.close()
        withTimeoutOrNull(LOST_CLOSE) { session.closeReason.await() }
    }
}

fun ktorCio(): suspend (String) -> Session {
    val client = HttpClient(CIO) {
        install(WebSockets)
        engine {
            maxConnectionsCount = SESSIONS
            endpoint.maxConnectionsPerRoute = SESSIONS
        }
    }
    return { url -> KtorSession(client.webSocketSession(url)) }
}
