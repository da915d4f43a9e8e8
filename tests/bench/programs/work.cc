/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Something for a compiler to chew on: the library's containers, lambdas, and chains of templates
 * LINKS long. Compiled, never run.
 */
#include <algorithm>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

template <int N> struct Chain {
    int values[N % 7 + 1];
    static int sum(int x) {
        return x % (N + 1) == 0 ? x : Chain<N - 1>::sum(x * 3 + N);
    }
    static std::map<int, std::vector<Chain>> &table() {
        static std::map<int, std::vector<Chain>> kept;
        return kept;
    }
};

template <> struct Chain<0> {
    static int sum(int x) {
        return x;
    }
};

template <int N> int fill_tables(int x) {
    Chain<N>::table()[x].push_back(Chain<N>{{x}});
    if constexpr (N > 10) {
        return fill_tables<N - 10>(x + 1) + Chain<N>::sum(x);
    }
    return x;
}

int count_words(const std::string &text) {
    std::map<std::string, std::vector<std::function<int(int)>>> calls;
    std::unordered_map<std::string, int> counts;
    std::istringstream in(text);
    std::string word;

    while (in >> word) {
        calls[word].push_back([n = word.size()](int x) { return x + int(n); });
        counts[word]++;
    }
    int sum = fill_tables<LINKS>(3);
    for (auto &row : calls) {
        for (auto &call : row.second) {
            sum += call(sum) + counts[row.first];
        }
    }
    std::ostringstream out;
    out << sum;
    return int(out.str().size());
}
