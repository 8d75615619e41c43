// One run of Boost.Beast; arguments and output as ../README.md says.

#include <sys/resource.h>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>  // which Boost 1.74 forgets
#include <vector>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using asio::use_awaitable;
using Session = websocket::stream<tcp::socket>;
using Chunk = std::function<asio::awaitable<void>()>;

struct Run {
    std::string kind, host, port, target;
    bool binary;
    std::size_t size;
    long count;
    double warm_up, budget;
    std::string message;
    std::string received;

    explicit Run(char** arguments)
        : kind(arguments[0]), binary(arguments[2] == std::string("binary")), size(std::stoul(arguments[3])),
          count(std::stol(arguments[4])), warm_up(std::stod(arguments[5])), budget(std::stod(arguments[6])),
          message(size, 'x') {
        std::string url = std::string(arguments[1]).substr(5);  // after "ws://"
        auto colon = url.find(':'), slash = url.find('/');
        host = url.substr(0, colon);
        port = url.substr(colon + 1, slash - colon - 1);
        target = url.substr(slash);
    }

    asio::awaitable<std::unique_ptr<Session>> open() {
        auto session = std::make_unique<Session>(co_await asio::this_coro::executor);
        auto address = asio::ip::make_address(host);
        co_await session->next_layer().async_connect({address, static_cast<unsigned short>(std::stoi(port))}, use_awaitable);
        session->next_layer().set_option(tcp::no_delay(true));
        session->read_message_max(0);
        session->auto_fragment(false);  // the server counts bytes, and knows whole messages alone
        co_await session->async_handshake(host + ":" + port, target, use_awaitable);
        session->binary(binary);
        co_return session;
    }

    asio::awaitable<void> close(Session& session) {
        co_await session.async_close(websocket::close_code::normal, use_awaitable);
    }

    asio::awaitable<std::size_t> receive(Session& session) {
        received.clear();
        auto buffer = asio::dynamic_buffer(received);
        co_await session.async_read(buffer, use_awaitable);
        co_return received.size();
    }

    asio::awaitable<void> send(Session& session, std::string const& what) {
        co_await session.async_write(asio::buffer(what), use_awaitable);
    }

    static void check(std::size_t length, std::size_t expected) {
        if (length != expected)
            throw std::runtime_error("the last message has length " + std::to_string(length));
    }

    // What is done again and again, `count` units each time.
    asio::awaitable<void> chunk(Session* session) {
        std::size_t length = 0;
        if (kind == "connect") {
            for (long done = 0; done < count; ++done) {
                auto opened = co_await open();
                co_await close(*opened);
            }
        } else if (kind == "receive") {
            co_await send(*session, "go");
            for (long done = 0; done < count; ++done) length = co_await receive(*session);
            check(length, size);
        } else if (kind == "send") {
            for (long done = 0; done < count; ++done) co_await send(*session, message);
            check(co_await receive(*session), 4);
        } else if (kind == "round_trips") {
            for (long done = 0; done < count; ++done) {
                co_await send(*session, message);
                length = co_await receive(*session);
            }
            check(length, size);
        } else {
            throw std::runtime_error("there is no scenario of kind " + kind);
        }
    }

    static double cpu_seconds() {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }

    static double kib(std::string const& field) {
        std::ifstream status("/proc/self/status");
        for (std::string line; std::getline(status, line);)
            if (line.rfind(field + ":", 0) == 0) return std::stod(line.substr(field.size() + 1));
        throw std::runtime_error("/proc/self/status has no " + field);
    }

    asio::awaitable<void> measure() {
        std::unique_ptr<Session> session;
        if (kind != "connect") session = co_await open();
        for (double start = cpu_seconds(); cpu_seconds() - start < warm_up;) co_await chunk(session.get());
        long units = 0;
        auto wall = std::chrono::steady_clock::now();
        double cpu = cpu_seconds();
        for (; cpu_seconds() - cpu < budget; units += count) co_await chunk(session.get());
        std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - wall;
        std::printf("{\"cpu_us\": %.6f, \"wall_us\": %.6f", (cpu_seconds() - cpu) * 1e6 / units, elapsed.count() * 1e6 / units);
    }

    asio::awaitable<void> memory() {
        for (int done = 0; done < 20; ++done) {
            auto opened = co_await open();
            co_await close(*opened);
        }
        double before = kib("VmRSS");
        std::vector<std::unique_ptr<Session>> sessions;
        for (long done = 0; done < count; ++done) sessions.push_back(co_await open());
        std::printf("{\"kib\": %.3f", (kib("VmRSS") - before) / count);
        for (auto& session : sessions) co_await close(*session);
    }
};

int main(int count, char** arguments) {
    if (count != 8) {
        std::fputs("usage: client KIND URL TYPE SIZE COUNT WARM_UP BUDGET\n", stderr);
        return 2;
    }
    try {
        Run run(arguments + 1);
        asio::io_context context(1);
        std::exception_ptr failure;
        asio::co_spawn(context, run.kind == "memory" ? run.memory() : run.measure(), [&](std::exception_ptr error) { failure = error; });
        context.run();
        if (failure) std::rethrow_exception(failure);
        std::printf(", \"peak_kib\": %.0f}\n", Run::kib("VmHWM"));
    } catch (std::exception const& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
