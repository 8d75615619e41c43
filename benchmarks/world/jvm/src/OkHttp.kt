// OkHttp: it calls its listener on the thread that reads, one for each session.

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.yield
import okhttp3.Dispatcher
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.Response
import okhttp3.WebSocket
import okhttp3.WebSocketListener
import okio.ByteString
import okio.ByteString.Companion.toByteString

private const val HIGH_WATER = 1024 * 1024L

private class OkHttpSession(client: OkHttpClient, url: String) : WebSocketListener(), Session {
    private class Expected(var left: Int, val answer: Message?) {
        val lastLength = CompletableDeferred<Int>()
    }

    private val opened = CompletableDeferred<Unit>()
    private val closed = CompletableDeferred<Unit>()

    @Volatile
    private var expected = Expected(0, null)
    private val socket = client.newWebSocket(Request.Builder().url(url).build(), this)

    suspend fun opened() = apply { opened.await() }

    override suspend fun send(message: Message) {
        while (socket.queueSize() > HIGH_WATER) yield() // it has no other backpressure
        enqueue(message)
    }

    private fun enqueue(message: Message) {
        check(if (message.binary) socket.send(message.bytes.toByteString()) else socket.send(message.text)) {
            "OkHttp does not take the message"
        }
    }

    override suspend fun receive(count: Int, answer: Message?, trigger: suspend () -> Unit): Int {
        val expected = Expected(count, answer)
        this.expected = expected
        trigger()
        return expected.lastLength.await()
    }

    override suspend fun close() {
        socket.close(1000, null)
        closed.await()
    }

    private fun arrived(length: Int) {
        val expected = this.expected
        if (--expected.left == 0) expected.lastLength.complete(length) else expected.answer?.let(::enqueue)
    }

    override fun onOpen(webSocket: WebSocket, response: Response) {
        opened.complete(Unit)
    }

    override fun onMessage(webSocket: WebSocket, text: String) = arrived(text.length)

    override fun onMessage(webSocket: WebSocket, bytes: ByteString) = arrived(bytes.size)

    override fun onClosed(webSocket: WebSocket, code: Int, reason: String) {
        closed.complete(Unit)
    }

    override fun onFailure(webSocket: WebSocket, t: Throwable, response: Response?) {
        opened.completeExceptionally(t)
        closed.completeExceptionally(t)
        expected.lastLength.completeExceptionally(t)
    }
}

fun okHttp(): suspend (String) -> Session {
    val client = OkHttpClient.Builder().dispatcher(Dispatcher().apply { maxRequests = SESSIONS }).build()
    return { url -> OkHttpSession(client, url).opened() }
}
